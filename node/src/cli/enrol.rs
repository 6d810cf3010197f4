//! `boltgrid enrol`: from a request to the registrars' signatures that make a member.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use boltgrid_protocol::charter::Charter;
use boltgrid_protocol::enrolment::{CertifiedEnrolment, Enrolment, EnrolmentRejected};
use boltgrid_protocol::id::{MeterKey, ParticipantId};
use boltgrid_protocol::roster::epoch_start;
use boltgrid_protocol::units::{Interval, Power};
use clap::{Args, Subcommand};
use tokio::runtime;

use super::charter::write_new;
use super::error::CliError;
use super::show;
use crate::config::{CONFIG_FILE, Config, RawConfig};
use crate::meter_keys::{MeterKeyError, MeterKeys, MeterKeysConfig};
use crate::{clock, grid, keys};

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// Ask for membership, grant it, or show what an enrolment says.
#[derive(Debug, Subcommand)]
pub(super) enum Enrol {
    /// Write a request for membership from a node's folder, to be sent to a registrar
    Request(Request),
    /// Sign a request as a registrar, after showing what it says
    Sign(Sign),
    /// Show what a request or an enrolment says, and who has signed it
    Show(Show),
}

/// Arguments of `enrol request`.
#[derive(Debug, Args)]
pub(super) struct Request {
    /// The node's folder, as `boltgrid init` made it
    #[arg(long, default_value = "boltgrid")]
    dir: PathBuf,
    /// Where the site is connected: the name that the grid's members know
    #[arg(long, value_name = "NAME")]
    connection_point: String,
    /// Most power that the site may take, in W
    #[arg(long, value_name = "WATT")]
    import_w: u32,
    /// Most power that the site may give, in W
    #[arg(long, value_name = "WATT")]
    export_w: u32,
    /// Be a member without a vote: for a node that is often off
    #[arg(long)]
    no_vote: bool,
    /// The site is beyond the grid connection, which caps its trades with the others
    #[arg(long)]
    outside: bool,
    /// Be a member from the current epoch on. Only for founding a grid: on a running grid, members
    /// come in with a new epoch, which is the default
    #[arg(long, conflicts_with = "from_interval")]
    founding: bool,
    /// Ask for the meter key that `next_meter_key_file` of the config names, and make it where there
    /// is none: for a meter that is replaced, or a key that is to be
    #[arg(long)]
    next_meter_key: bool,
    /// First interval of membership
    #[arg(long, value_name = "INTERVAL")]
    from_interval: Option<u64>,
    /// Days of membership
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
    /// Where to write the request
    #[arg(short, long, value_name = "FILE", default_value = "member.request")]
    output: PathBuf,
}

/// Arguments of `enrol sign`.
#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The request, or an enrolment that needs another signature
    request: PathBuf,
    /// The registrar's key file
    #[arg(long, value_name = "FILE", default_value = "registrar.key")]
    registrar_key: PathBuf,
    /// The grid's charter
    #[arg(long, value_name = "FILE", default_value = "charter.toml")]
    charter: PathBuf,
    /// Where to write the enrolment; by default next to the request, ending in `.enrolment`
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Arguments of `enrol show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The request or enrolment
    file: PathBuf,
    /// The grid's charter: says also whether the enrolment makes a member
    #[arg(long, value_name = "FILE")]
    charter: Option<PathBuf>,
}

impl Enrol {
    pub(super) fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        match self {
            Self::Request(request) => request.run(out),
            Self::Sign(sign) => sign.run(out),
            Self::Show(show) => show.run(out),
        }
    }
}

impl Request {
    /// The key to ask for.
    fn meter(&self, config: &MeterKeysConfig) -> Result<MeterKey, CliError> {
        if self.next_meter_key {
            let file = config.next_file.as_ref().ok_or(CliError::NoNextMeterKey)?;
            let key = if file.exists() { keys::read(file)? } else { keys::create(file)? };
            return Ok(key.meter_key());
        }
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let keys = runtime.map_err(CliError::Runtime)?.block_on(MeterKeys::open(config))?;
        keys.public().next().ok_or(CliError::MeterKey(MeterKeyError::NotEnrolled))
    }

    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let config = Config::load(&self.dir.join(CONFIG_FILE), RawConfig::default())?;
        let charter = grid::read_charter(&config.grid.charter_file)?;
        let wish = Wish {
            valid_from: self.valid_from(&charter),
            connection_point: self.connection_point.clone(),
            outside: self.outside,
            import_w: self.import_w,
            export_w: self.export_w,
            votes: !self.no_vote,
            days: self.days,
        };
        let meter = self.meter(&config.keys.meter)?;
        let participant = keys::read(&config.keys.participant_key_file)?.participant_id();
        let request = wish.request(&charter, participant, meter)?;
        write_new(&self.output, &request.to_bytes(), "--output")?;
        show_enrolment(out, &request, Some(&charter))?;
        writeln!(
            out,
            "\nwrote {}: send it to a registrar of the grid, who answers with an enrolment",
            self.output.display()
        )?;
        Ok(())
    }

    fn valid_from(&self, charter: &Charter) -> Interval {
        match self.from_interval {
            Some(number) => Interval::from_number(number),
            None if self.founding => {
                epoch_start(charter, charter.interval.interval_at(clock::now()))
            }
            None => next_epoch(charter),
        }
    }
}

/// The first interval of the next epoch, with which members come in on a grid that runs.
pub(crate) fn next_epoch(charter: &Charter) -> Interval {
    let this = epoch_start(charter, charter.interval.interval_at(clock::now()));
    this.plus(charter.membership.roster_epoch_intervals)
}

/// What a request for membership asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) connection_point: String,
    pub(crate) outside: bool,
    pub(crate) import_w: u32,
    pub(crate) export_w: u32,
    pub(crate) votes: bool,
    pub(crate) valid_from: Interval,
    pub(crate) days: u64,
}

impl Wish {
    /// The request, which is right but for signatures.
    ///
    /// # Errors
    ///
    /// [`EnrolmentRejected`], as no registrar could sign it.
    pub(crate) fn request(
        self,
        charter: &Charter,
        participant: ParticipantId,
        meter: MeterKey,
    ) -> Result<CertifiedEnrolment, EnrolmentRejected> {
        let watts = |watts: u32| Power::from_milliwatts(i64::from(watts) * 1000);
        let length = (self.days * DAY_MS).div_ceil(charter.interval.interval_ms);
        let request = CertifiedEnrolment::request(Enrolment {
            grid: charter.grid_id(),
            participant,
            meter,
            connection_point: self.connection_point,
            outside: self.outside,
            rated_import_mw: watts(self.import_w),
            rated_export_mw: watts(self.export_w),
            votes: self.votes,
            valid_from: self.valid_from,
            valid_until: self.valid_from.plus(length),
        });
        check_but_for_signatures(&request, charter)?;
        Ok(request)
    }
}

impl Sign {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let charter = grid::read_charter(&self.charter)?;
        let registrar = keys::read(&self.registrar_key)?;
        let mut certified = grid::read_enrolment(&self.request)?;
        show_enrolment(out, &certified, Some(&charter))?;
        check_but_for_signatures(&certified, &charter)?;
        let registrar_id = registrar.participant_id();
        if !charter.membership.registrars.contains(&registrar_id) {
            return Err(CliError::NotARegistrar(registrar_id));
        }
        certified.sign(&registrar);

        let output =
            self.output.unwrap_or_else(|| self.request.with_extension(grid::ENROLMENT_EXTENSION));
        if output == self.request {
            replace(&output, &certified.to_bytes())?;
        } else {
            write_new(&output, &certified.to_bytes(), "--output")?;
        }
        let (have, need) = (certified.signatures.len(), charter.membership.registrar_threshold);
        writeln!(out, "\nsigned as {registrar_id}; wrote {}", output.display())?;
        match certified.verify(&charter) {
            Ok(_) => writeln!(out, "it has {have} of {need} signatures: give it to every member")?,
            Err(_) => {
                writeln!(out, "it has {have} of {need} signatures: another registrar signs it")?
            }
        }
        Ok(())
    }
}

impl Show {
    fn run(self, out: &mut impl Write) -> Result<(), CliError> {
        let certified = grid::read_enrolment(&self.file)?;
        let charter = self.charter.as_deref().map(grid::read_charter).transpose()?;
        show_enrolment(out, &certified, charter.as_ref())?;
        if let Some(charter) = charter {
            certified.verify(&charter)?;
            writeln!(out, "\nit holds: {} is a member", certified.enrolment.participant.short())?;
        }
        Ok(())
    }
}

/// Checks everything about an enrolment but that it has signatures enough.
fn check_but_for_signatures(
    certified: &CertifiedEnrolment,
    charter: &Charter,
) -> Result<(), EnrolmentRejected> {
    match certified.verify(charter) {
        Ok(_) | Err(EnrolmentRejected::TooFewSignatures { .. }) => Ok(()),
        Err(rejected) => Err(rejected),
    }
}

/// Puts a file in place of another, whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |source| CliError::Write { path: path.to_owned(), source };
    let new = path.with_extension("new");
    fs::write(&new, bytes).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}

fn show_enrolment(
    out: &mut impl Write,
    certified: &CertifiedEnrolment,
    charter: Option<&Charter>,
) -> Result<(), CliError> {
    let enrolment = &certified.enrolment;
    let interval = |interval: Interval| match charter {
        Some(charter) => show::interval(interval, charter.interval.start_of(interval)),
        None => interval.to_string(),
    };
    let yes_no = |yes| if yes { "yes" } else { "no" }.to_owned();
    let mut rows = vec![
        ("grid", enrolment.grid.to_string()),
        ("participant", enrolment.participant.to_string()),
        ("meter", enrolment.meter.to_string()),
        ("connection point", enrolment.connection_point.clone()),
        ("beyond the grid", yes_no(enrolment.outside)),
        ("may take", show::power(enrolment.rated_import_mw)),
        ("may give", show::power(enrolment.rated_export_mw)),
        ("votes", yes_no(enrolment.votes)),
        ("member from", interval(enrolment.valid_from)),
        ("member until", interval(enrolment.valid_until)),
    ];
    if certified.signatures.is_empty() {
        rows.push(("signed by", "nobody yet".to_owned()));
    }
    let label = |first| if first { "signed by" } else { "" };
    rows.extend(
        certified
            .signatures
            .iter()
            .enumerate()
            .map(|(place, signature)| (label(place == 0), signature.registrar.to_string())),
    );
    show::rows(out, &rows)?;
    Ok(())
}
