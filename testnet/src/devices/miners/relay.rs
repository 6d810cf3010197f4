//! A Shelly relay of the second generation before a rack of machines: its JSON over HTTP.
//!
//! It says what flows through it. What gets power starts by itself, and what loses it is off at once.

use std::future::pending;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{Fault, Rig};
use crate::plant::MachineCommand;

/// Serves it until it is stopped.
pub(super) async fn serve(listener: TcpListener, rig: Rig, stop: CancellationToken) {
    let router = Router::new()
        .route("/rpc/Switch.Set", get(set))
        .route("/rpc/Switch.GetStatus", get(status))
        .with_state(Arc::new(rig));
    let serving = axum::serve(listener, router);
    if let Some(Err(error)) = stop.run_until_cancelled(serving.into_future()).await {
        error!(%error, "a relay's web page failed");
    }
}

async fn set(State(rig): State<Arc<Rig>>, asked: Uri) -> Response {
    let wanted = asked.query().unwrap_or_default().split('&').find_map(|it| it.strip_prefix("on="));
    let command = match wanted {
        Some("true") => MachineCommand::Restore,
        Some("false") => MachineCommand::Cut,
        Some(_) | None => return StatusCode::BAD_REQUEST.into_response(),
    };
    let was_on = rig.truth().power.to_milliwatts() > 0;
    if rig.tell(command) {
        answer(&rig, &json!({"was_on": was_on})).await
    } else if matches!(rig.fault(), Some(Fault::Silent | Fault::Unreachable)) {
        pending().await
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "{\"code\":-103}").into_response()
    }
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "the API speaks floats")]
async fn status(State(rig): State<Arc<Rig>>) -> Response {
    let watts = rig.truth().power.to_milliwatts() as f64 / 1_000.0;
    answer(&rig, &json!({"id": 0, "output": watts > 0.0, "apower": watts, "voltage": 230.0})).await
}

async fn answer(rig: &Rig, answer: &Value) -> Response {
    match rig.fault() {
        Some(Fault::Silent | Fault::Unreachable) => pending().await,
        Some(Fault::HalfAnswer) => "{\"id\": 0, \"apow".into_response(),
        Some(Fault::Garbage) => "\u{6}{]\"".into_response(),
        None
        | Some(
            Fault::Refuses
            | Fault::NoEffect
            | Fault::DeniesWhatItDoes
            | Fault::Reboots
            | Fault::Overheats,
        ) => Json(answer).into_response(),
    }
}
