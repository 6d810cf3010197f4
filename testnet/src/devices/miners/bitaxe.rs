//! A Bitaxe Supra: `AxeOS` over HTTP at port 80.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router, extract::Request};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{Fault, Rig};
use crate::plant::MachineCommand;

/// Serves it until it is stopped.
pub(super) async fn serve(listener: TcpListener, rig: Rig, stop: CancellationToken) {
    let rig = Arc::new(rig);
    let router = Router::new()
        .route("/", get(async || Html("<title>AxeOS</title>")))
        .route("/api/system/info", get(info))
        .route("/api/system/asic", get(asic))
        .route("/api/system/pause", post(pause))
        .route("/api/system/resume", post(resume))
        .layer(middleware::from_fn_with_state(Arc::clone(&rig), misbehave))
        .with_state(rig);
    let serving = axum::serve(listener, router);
    if let Some(Err(error)) = stop.run_until_cancelled(serving.into_future()).await {
        error!(%error, "a machine's web page failed");
    }
}

async fn misbehave(State(rig): State<Arc<Rig>>, request: Request, next: Next) -> Response {
    let fault = rig.fault();
    if matches!(fault, Some(Fault::Silent | Fault::Unreachable)) || !rig.truth().answers {
        std::future::pending::<()>().await;
    }
    let answer = next.run(request).await;
    match fault {
        Some(Fault::Garbage) => (HeaderMap::new(), Body::from("\u{6}{]\"")).into_response(),
        Some(Fault::HalfAnswer) => (HeaderMap::new(), Body::from("{\"power\": 1")).into_response(),
        None
        | Some(
            Fault::Silent
            | Fault::Unreachable
            | Fault::Refuses
            | Fault::NoEffect
            | Fault::DeniesWhatItDoes
            | Fault::Reboots
            | Fault::Overheats,
        ) => answer,
    }
}

async fn pause(State(rig): State<Arc<Rig>>) -> (StatusCode, Json<Value>) {
    told(rig.tell(MachineCommand::Sleep))
}

async fn resume(State(rig): State<Arc<Rig>>) -> (StatusCode, Json<Value>) {
    told(rig.tell(MachineCommand::Wake))
}

fn told(taken: bool) -> (StatusCode, Json<Value>) {
    let status = if taken { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    (status, Json(json!({"message": if taken { "ok" } else { "refused" }})))
}

async fn asic() -> Json<Value> {
    Json(json!({"ASICModel": "BM1368", "deviceModel": "Supra", "swarmColor": "blue",
        "asicCount": 1, "defaultFrequency": 490, "frequencyOptions": [490],
        "defaultVoltage": 1_166, "voltageOptions": [1_166]}))
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "the API speaks floats")]
async fn info(State(rig): State<Arc<Rig>>) -> Json<Value> {
    let truth = rig.truth();
    let celsius = truth.chips_m_celsius as f64 / 1_000.0;
    let ghs = truth.hash_rate_gh_per_s as f64;
    let (site, machine) = (rig.site, rig.machine);
    Json(json!({
        "ASICModel": "BM1368", "version": "v2.14.0", "axeOSVersion": "v2.14.0", "idfVersion": "v5",
        "boardVersion": "401", "hostname": format!("bitaxe-{site}-{machine}"),
        "macAddr": format!("02:10:00:02:{:02x}:{:02x}", site % 256, machine % 256),
        "power": truth.power.to_milliwatts() as f64 / 1_000.0, "voltage": 5_000.0,
        "current": truth.power.to_milliwatts() as f64 / 5.0, "coreVoltage": 1_166,
        "coreVoltageActual": 1_160, "frequency": 490, "hashRate": ghs, "hashRate_1m": ghs,
        "expectedHashrate": truth.rating.hash_rate_gh_per_s as f64, "temp": celsius,
        "temp2": -1, "vrTemp": celsius, "fanspeed": 60, "fanrpm": 3_000, "miningPaused": !truth.awake,
        "smallCoreCount": 1_276, "uptimeSeconds": 3_600, "sharesAccepted": 1, "sharesRejected": 0,
        "bestDiff": "1", "bestSessionDiff": "1", "isUsingFallbackStratum": 0,
        "stratumURL": "", "stratumPort": 3_333, "stratumUser": "", "fallbackStratumURL": "",
        "fallbackStratumPort": 3_333, "fallbackStratumUser": "", "overheat_mode": 0,
        "autofanspeed": 1, "runningPartition": "factory", "wifiStatus": "Connected!",
    }))
}
