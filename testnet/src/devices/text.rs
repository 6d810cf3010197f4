//! Grid meters that speak text: JSON over HTTP, and telegrams on a serial server.

use std::sync::Arc;
use std::time::Duration;

use boltgrid_protocol::units::Energy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::ACCEPT_PAUSE;
use super::kind::MeterKind;
use super::server::SiteServer;
use crate::plant::SiteTruth;

/// Most connections to one meter; more than these wait.
const CONNECTIONS_MAX: usize = 8;
/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 4_096;
/// How long a request may take to come.
const REQUEST_TIME: Duration = Duration::from_secs(2);
/// How often a telegram is sent: ten times as often as any real meter does, since the testnet's
/// intervals are short.
const TELEGRAM_EVERY: Duration = Duration::from_millis(100);

/// Serves one meter until it is stopped.
pub(super) async fn serve(
    listener: TcpListener,
    (site, kind): (Arc<SiteServer>, MeterKind),
    stop: CancellationToken,
) {
    let mut talks = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = talks.join_next() => {}
            accepted = listener.accept(), if talks.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    let site = Arc::clone(&site);
                    talks.spawn(async move {
                        if let Err(error) = talk(stream, &site, kind).await {
                            debug!(%error, "a talk with a meter ended");
                        }
                    });
                }
                Err(error) => {
                    debug!(%error, "cannot accept a connection to a meter");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    talks.shutdown().await;
}

async fn talk(mut stream: TcpStream, site: &SiteServer, kind: MeterKind) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    if kind == MeterKind::P1 {
        loop {
            stream.write_all(telegram(&site.truth()).as_bytes()).await?;
            sleep(TELEGRAM_EVERY).await;
        }
    }
    let path = timeout(REQUEST_TIME, asked(&mut stream)).await??;
    let body = path.and_then(|path| answer(kind, &path, &site.truth()));
    let (status, body) = match body {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", "{}".to_owned()),
    };
    let length = body.len();
    let head = "Content-Type: application/json\r\nConnection: close";
    let answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The path that is asked for; `None` where it is no request.
async fn asked(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1_024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_MAX {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(None);
        }
        head.extend_from_slice(&buffer[..count]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split(' ');
    Ok(words.next().filter(|method| *method == "GET").and(words.next()).map(str::to_owned))
}

/// What a meter answers; `None` where there is nothing at the path.
fn answer(kind: MeterKind, path: &str, truth: &SiteTruth) -> Option<String> {
    match (kind, path) {
        (MeterKind::HomeWizard, "/api/v1/data") => Some(home_wizard(truth)),
        (MeterKind::Shelly, "/rpc/EM.GetStatus?id=0") => Some(shelly(truth)),
        _ => None,
    }
}

fn home_wizard(truth: &SiteTruth) -> String {
    let phase_mw = truth.metered.to_milliwatts() / 3;
    let phases: String = (1..=3)
        .map(|phase| {
            let (power, volts) = (decimal(phase_mw, 3), decimal(truth.phase_mv, 3));
            format!(",\"active_power_l{phase}_w\":{power},\"active_voltage_l{phase}_v\":{volts}")
        })
        .collect();
    format!(
        "{{\"wifi_strength\":80,\"total_power_import_kwh\":{},\"total_power_export_kwh\":{},\
         \"active_power_w\":{},\"active_frequency_hz\":{}{phases}}}",
        kwh(truth.registers.imported, 6),
        kwh(truth.registers.exported, 6),
        decimal(truth.metered.to_milliwatts(), 3),
        decimal(i64::try_from(truth.frequency_mhz).unwrap_or(0), 3),
    )
}

fn shelly(truth: &SiteTruth) -> String {
    let (mw, mv) = (truth.metered.to_milliwatts(), truth.phase_mv);
    let amps = decimal(super::meter::phase_current_ma(mw, mv), 3);
    let hertz = decimal(i64::try_from(truth.frequency_mhz).unwrap_or(0), 3);
    let (phase, volts) = (decimal(mw / 3, 3), decimal(mv, 3));
    let phases: String = ["a", "b", "c"]
        .iter()
        .map(|it| {
            format!(
                "\"{it}_current\":{amps},\"{it}_voltage\":{volts},\"{it}_act_power\":{phase},\
                 \"{it}_freq\":{hertz},"
            )
        })
        .collect();
    format!("{{\"id\":0,{phases}\"total_act_power\":{}}}", decimal(mw, 3))
}

/// A DSMR 5 telegram, with its checksum.
fn telegram(truth: &SiteTruth) -> String {
    let mw = truth.metered.to_milliwatts();
    let volts = decimal(truth.phase_mv / 100, 1);
    let (taken, given) = (kilowatts(mw.max(0)), kilowatts(mw.saturating_neg().max(0)));
    let phases: String =
        [32, 52, 72].iter().map(|it| format!("1-0:{it}.7.0({volts}*V)\r\n")).collect();
    let body = format!(
        "/BLT5testnet\r\n\r\n1-3:0.2.8(50)\r\n\
         1-0:1.8.1({}*kWh)\r\n1-0:1.8.2(000000.000*kWh)\r\n\
         1-0:2.8.1({}*kWh)\r\n1-0:2.8.2(000000.000*kWh)\r\n\
         1-0:1.7.0({taken}*kW)\r\n1-0:2.7.0({given}*kW)\r\n{phases}!",
        padded(&kwh(truth.registers.imported, 3), 10),
        padded(&kwh(truth.registers.exported, 3), 10),
    );
    let crc = crc16_arc(body.as_bytes());
    format!("{body}{crc:04X}\r\n")
}

/// A power in kW with three decimals, as telegrams have it.
fn kilowatts(mw: i64) -> String {
    padded(&decimal(mw / 1_000, 3), 6)
}

fn padded(text: &str, width: usize) -> String {
    format!("{text:0>width$}")
}

/// An energy in kWh with 3 or 6 decimals, rounded down.
pub(super) fn kwh(energy: Energy, decimals: u32) -> String {
    let mwh = i64::try_from(energy.to_milliwatt_hours()).unwrap_or(i64::MAX);
    if decimals == 3 { decimal(mwh / 1_000, 3) } else { decimal(mwh, 6) }
}

/// A number of `10^-decimals` as a decimal number.
pub(super) fn decimal(number: i64, decimals: u32) -> String {
    let unit = 10_u64.pow(decimals);
    let (whole, part) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
    let sign = if number < 0 { "-" } else { "" };
    let width = usize::try_from(decimals).unwrap_or(0);
    format!("{sign}{whole}.{part:0width$}")
}

/// CRC-16/ARC.
fn crc16_arc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_exactly() {
        assert_eq!(decimal(-1_234, 3), "-1.234");
        assert_eq!(decimal(5, 6), "0.000005");
        assert_eq!(kilowatts(1_234_999), "01.234");
        assert_eq!(padded(&kwh(Energy::from_milliwatt_hours(1_234_567_890), 3), 10), "001234.567");
    }

    #[test]
    fn the_checksum_is_the_one_of_the_catalogue() {
        assert_eq!(crc16_arc(b"123456789"), 0xBB3D);
    }
}
