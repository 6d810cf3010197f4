//! A start that fails says why, and what to do.

use std::net::TcpListener;

use boltgrid::config::lightning::{ChainSource, Login};

use crate::bitcoind::{Bitcoind, free_port};
use crate::world::Home;

async fn problem(home: &Home) -> String {
    home.try_start().await.err().expect("it does not start").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_seed_or_a_password_nothing_starts() {
    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    let login = Login::Password { user: "u".to_owned(), password_file: password_file.clone() };
    let chain = ChainSource::Bitcoind { host: "127.0.0.1".to_owned(), port: free_port(), login };
    let mut home = Home::new(chain);
    let error = problem(&home).await;
    assert!(error.contains("password") && error.contains("cannot be read"), "{error}");
    home.config.seed_file = dir.path().join("none.seed");
    let error = problem(&home).await;
    assert!(error.contains("none.seed") && error.contains("boltgrid init"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_before_anything_runs() {
    let Some(chain) = Bitcoind::start().await else { return };
    let mut home = Home::new(chain.source());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    home.config.listen = vec![taken.local_addr().unwrap().to_string()];
    let error = problem(&home).await;
    assert!(error.contains("lightning.listen"), "{error}");
    assert!(error.contains(&taken.local_addr().unwrap().to_string()), "{error}");
    drop(taken);
    home.start().await.stop().await;
}
