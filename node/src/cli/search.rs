//! Looking at the addresses that the user names, and nowhere else: what `meter discover` and
//! `miner discover` share.
//! Not for: what is looked for.

use std::future::Future;
use std::io::{self, IsTerminal, Write};

use clap::Args;
use futures::{StreamExt, stream};
use tokio::runtime;

use crate::cli::error::CliError;
use crate::cli::targets::{HOSTS_MAX, NotATarget, Target, endpoints};

/// What the argument is called.
pub(in crate::cli) const ARGUMENT: &str = "ADDRESS|CIDR";

fn target(text: &str) -> Result<Target, NotATarget> {
    text.parse()
}

/// Where to look, and how to tell.
#[derive(Debug, Args)]
pub(in crate::cli) struct Where {
    /// Where to look: a host, host:port, or a network such as 192.168.1.0/24
    #[arg(required = true, value_name = "ADDRESS|CIDR", value_parser = target)]
    pub(in crate::cli) targets: Vec<Target>,
    /// Print what was found as JSON
    #[arg(long)]
    pub(in crate::cli) json: bool,
}

impl Where {
    /// The hosts with each of `ports`, unless they are named with one.
    pub(in crate::cli) fn endpoints(&self, ports: &[u16]) -> Result<Vec<(String, u16)>, CliError> {
        endpoints(&self.targets, ports).ok_or_else(|| CliError::Argument {
            argument: ARGUMENT,
            problem: format!("names more than {HOSTS_MAX} hosts; take smaller networks"),
        })
    }
}

/// Looks at all `what`, so many side by side, and says on a terminal how far it is; in the order of the
/// addresses, whoever answers first.
pub(in crate::cli) fn search<T, F: Future<Output = T>>(
    what: &str,
    at_once: usize,
    looks: impl ExactSizeIterator<Item = F>,
    is_found: impl Fn(&T) -> bool,
) -> Result<Vec<T>, CliError> {
    let (count, shows) = (looks.len(), io::stderr().is_terminal());
    let searching = async {
        let mut looking = stream::iter(looks).buffered(at_once);
        let (mut all, mut found) = (Vec::new(), 0_usize);
        while let Some(seen) = looking.next().await {
            found = found.saturating_add(usize::from(is_found(&seen)));
            all.push(seen);
            if shows {
                let done = all.len();
                // Who cannot see how far it is sees the result.
                drop(write!(io::stderr(), "\rlooked at {done} of {count} {what}, found {found} "));
            }
        }
        if shows {
            drop(writeln!(io::stderr()));
        }
        all
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(CliError::Runtime)?.block_on(searching))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_comes_in_the_order_of_the_addresses_whoever_answers_first() {
        let looks = [3_u64, 1, 2].map(|turns| async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            turns
        });
        let seen = search("hosts", 2, looks.into_iter(), |turns| *turns > 1).unwrap();
        assert_eq!(seen, [3, 1, 2]);
    }
}
