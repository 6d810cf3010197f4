//! Paying by hand between two owners' nodes: what one asks for the other pays, once, and nobody's trades
//! change for it.

use std::process::{Output, Stdio};
use std::time::Instant;

use boltgrid::access::Role;
use boltgrid::rpc::PaymentRpcClient as _;
use boltgrid::rpc::by_hand::{ByHandReport, InvoiceReport, LookedUpReport, LookedUpState};
use serde::de::DeserializeOwned;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::world::World;
use super::{LOOK_EVERY, PATIENCE, PROGRAM, asks};

/// The example of BOLT 11 for a cup of coffee, of the main network.
const COFFEE: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";

/// What a command of a site's owner comes to.
async fn owner(world: &World, site: &str, args: &[&str]) -> Output {
    ordered(world, site, &[&["payment"], args].concat()).await
}

async fn ordered(world: &World, site: &str, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["node", "--"]).args(args);
    command.arg("--config").arg(world.config_file(site));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut asking = command.kill_on_drop(true).spawn().unwrap();
    // Kept open: as a node of a testnet, the program ends when its input does.
    let input = asking.stdin.take();
    let output = timeout(PATIENCE, asking.wait_with_output()).await.unwrap().unwrap();
    drop(input);
    output
}

async fn told<T: DeserializeOwned>(world: &World, site: &str, args: &[&str]) -> T {
    let output = owner(world, site, &[args, &["--json"]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{args:?}: {said}"))
}

async fn refused(world: &World, site: &str, args: &[&str]) -> String {
    let output = owner(world, site, args).await;
    assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Tries to pay until the channels are there that carry it.
async fn paid(world: &World, (payer, payee): (&str, &str)) -> (InvoiceReport, LookedUpReport) {
    let invoice: InvoiceReport =
        told(world, payee, &["invoice", "21", "--for", "firewood, a basket"]).await;
    let began = Instant::now();
    loop {
        let output = owner(world, payer, &["pay", &invoice.invoice, "--json"]).await;
        if output.status.success() {
            return (invoice, serde_json::from_slice(&output.stdout).unwrap());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(began.elapsed() < PATIENCE, "{said}");
        assert!(said.contains("no route") || said.contains("not paid"), "{said}");
        sleep(LOOK_EVERY).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_owner_asks_for_by_hand_another_pays_once_and_no_account_changes() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path(), &["--nodes", "2", "--intervals", "60"]).await;
    let (payee, payer) = (world.sites[0].clone(), world.sites[1].clone());
    let (invoice, receipt) = paid(&world, (&payer, &payee)).await;

    assert_eq!((receipt.state, receipt.is_received), (LookedUpState::Paid, false));
    assert_eq!((receipt.amount_msat, receipt.fee_msat), (Some(21_000), Some(0)));
    assert_eq!(receipt.payment_hash, invoice.payment_hash);
    assert_eq!(receipt.preimage.as_ref().map(String::len), Some(64), "the receipt");
    let received: LookedUpReport = told(&world, &payee, &["look-up", &invoice.payment_hash]).await;
    assert_eq!((received.state, received.is_received), (LookedUpState::Paid, true));
    assert_eq!((received.amount_msat, received.preimage), (Some(21_000), None));

    let again = refused(&world, &payer, &["pay", &invoice.invoice]).await;
    assert!(again.contains("under way or done already"), "{again}");
    let foreign = refused(&world, &payer, &["pay", COFFEE]).await;
    assert!(foreign.contains("another bitcoin network"), "{foreign}");
    let spoilt = refused(&world, &payer, &["pay", "lnbcrt1nonsense"]).await;
    assert!(spoilt.contains("not an invoice"), "{spoilt}");
    // A refused invoice is nothing that was begun, and one that is paid is listed once.
    for (site, is_received) in [(&payer, false), (&payee, true)] {
        let listed: Vec<ByHandReport> = told(&world, site, &["by-hand"]).await;
        let [it] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((&it.payment_hash, it.is_received), (&invoice.payment_hash, is_received));
        assert_eq!((it.state, it.amount_msat), (Some(LookedUpState::Paid), 21_000));
        assert_eq!(it.description, "firewood, a basket");
        assert_eq!(it.preimage, if is_received { None } else { receipt.preimage.clone() });
        assert_eq!(it.expires_at_unix_ms, invoice.expires_at_unix_ms);
    }
    let files = folder.path().join("exported");
    let to = files.display().to_string();
    let exported = ordered(&world, &payer, &["export", &to, "--only", "by-hand,disputes"]).await;
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let csv = std::fs::read_to_string(files.join("by-hand.csv")).unwrap();
    let row = csv.lines().nth(1).unwrap();
    assert!(row.contains(",false,21000,0,\"firewood, a basket\","), "{csv}");
    assert!(row.contains(&format!("{},paid,", invoice.payment_hash)), "{csv}");
    assert_eq!(csv.lines().count(), 2, "{csv}");

    let unknown = refused(&world, &payer, &["look-up", &"00".repeat(32)]).await;
    assert!(unknown.contains("knows of no such payment"), "{unknown}");

    for site in [&payer, &payee] {
        let token = world.token(site, "looks", Role::Read);
        let node = asks(&world, site, &token);
        let listed = node.list("0".to_owned(), None).await.unwrap();
        assert!(listed.iter().all(|it| it.payment_hash != invoice.payment_hash), "no trade's");
        let balances = node.accounts().await.unwrap();
        assert!(balances.iter().all(|it| it.defaults == 0), "{balances:?}");
    }
    world.end().await;
}
