//! `boltgrid token`: who may ask the node over JSON-RPC besides its owner on this machine.
//!
//! It works on the file in the data folder; a running node takes a change up at the next call.
//! Not for: the cookie, which every start of the node makes anew.

use std::io::Write;

use boltgrid_protocol::units::Timestamp;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::error::CliError;
use super::node::ConfigFile;
use super::show;
use crate::access::Role;
use crate::access::tokens::{Token as Kept, TokenFile, Wish};
use crate::clock;
use crate::config::{Config, RawConfig};
use crate::status::quoted;

/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// Subcommands of `token`.
#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token and print it; it is shown only this once
    Create(Create),
    /// List all tokens: names, roles, until when they count
    List(List),
    /// Take a token back; it counts no more from now on
    Revoke(Revoke),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub(super) struct Create {
    /// A name by which you will know it, such as `grafana` or `tablet-hall`
    #[arg(value_name = "NAME")]
    name: String,
    /// What it may do: `read` looks at everything, `trade` also offers and accepts, `admin` also
    /// spends and changes
    #[arg(long, value_name = "ROLE", default_value_t = Role::Read)]
    role: Role,
    /// Days that it counts; for ever if not given
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires_days: Option<u32>,
    #[command(flatten)]
    file: ConfigFile,
    /// Print it as JSON, with its name, its role and until when it counts
    #[arg(long)]
    json: bool,
}

/// Arguments of `token list`.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    file: ConfigFile,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// Which one
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    file: ConfigFile,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// A token as it is printed for a program, this only time.
#[derive(Debug, Serialize)]
struct Made<'a> {
    name: &'a str,
    role: Role,
    #[serde(with = "quoted")]
    created_at_unix_ms: u64,
    #[serde(with = "quoted::option")]
    expires_at_unix_ms: Option<u64>,
    token: &'a str,
}

/// A token that counts no more.
#[derive(Debug, Serialize)]
struct Revoked<'a> {
    name: &'a str,
    is_revoked: bool,
}

impl Token {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Create(create) => create.run(out),
            Self::List(List { file, json }) => {
                let (_, tokens) = tokens(&file)?.read()?;
                if json { show::json(out, &tokens.list()) } else { table(out, tokens.list()) }
            }
            Self::Revoke(Revoke { name, file, json }) => {
                tokens(&file)?.revoke(&name)?;
                if json {
                    return show::json(out, &Revoked { name: &name, is_revoked: true });
                }
                Ok(writeln!(out, "{name} is revoked")?)
            }
        }
    }
}

impl Create {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let created_at = clock::now();
        let days = self.expires_days.map(|days| u64::from(days).saturating_mul(DAY_MS));
        let expires_at = days.map(|ms| created_at.plus_ms(ms));
        let Self { name, role, json, .. } = self;
        let wish = Wish { name: name.clone(), role, created_at, expires_at };
        let secret = tokens(&self.file)?.create(wish)?;
        if json {
            let made = Made {
                name: &name,
                role,
                created_at_unix_ms: created_at.to_unix_ms(),
                expires_at_unix_ms: expires_at.map(Timestamp::to_unix_ms),
                token: secret.reveal(),
            };
            return show::json(out, &made);
        }
        // Alone on its line, so that it can be sent to a file.
        Ok(writeln!(out, "{}", secret.reveal())?)
    }
}

fn tokens(file: &ConfigFile) -> Result<TokenFile, CliError> {
    let config = Config::load(&file.config, RawConfig::default())?;
    Ok(TokenFile::in_folder(&config.data_dir))
}

fn table(out: &mut impl Write, tokens: &[Kept]) -> Result<(), CliError> {
    if tokens.is_empty() {
        writeln!(out, "there are no tokens; `boltgrid token create NAME` makes one")?;
        return Ok(());
    }
    writeln!(out, "{:<24} {:<6} {:<22} expires", "name", "role", "made")?;
    for token in tokens {
        let made = show::moment(Timestamp::from_unix_ms(token.created_at_unix_ms));
        let until = token.expires_at_unix_ms.map(Timestamp::from_unix_ms);
        let until = until.map_or_else(|| "never".to_owned(), show::moment);
        writeln!(out, "{:<24} {:<6} {made:<22} {until}", token.name, token.role.word())?;
    }
    Ok(())
}
