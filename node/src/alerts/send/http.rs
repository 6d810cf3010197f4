//! Alerts by HTTP: any webhook, ntfy, Telegram.

use std::path::Path;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};

use super::{SendError, TIMEOUT, Told, secret};
use crate::alerts::rule::Turn;

const TELEGRAM: &str = "https://api.telegram.org";

/// A client that follows nobody elsewhere, so that no secret goes where its owner did not send it.
pub(super) fn client() -> Result<Client, SendError> {
    let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build();
    client.map_err(|error| SendError::Setting(format!("no HTTP client: {error}")))
}

/// Whether something is a URL to send to.
pub(super) fn check(url: &str) -> Result<(), SendError> {
    let bad = |why: &str| SendError::Setting(format!("{url:?} is no URL to send to: {why}"));
    let parsed = Url::parse(url).map_err(|error| bad(&error.to_string()))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(bad("it must begin with https:// or http://"));
    }
    Ok(())
}

pub(super) async fn webhook(
    client: &Client,
    url: &str,
    token_file: Option<&Path>,
    json: String,
) -> Result<(), SendError> {
    let request = client.post(url).header(CONTENT_TYPE, "application/json").body(json);
    send(with_token(request, token_file)?).await
}

pub(super) async fn ntfy(
    client: &Client,
    url: &str,
    token_file: Option<&Path>,
    told: &Told<'_>,
) -> Result<(), SendError> {
    let priority = match told.turn {
        Turn::Begins if told.urgent => "5",
        Turn::Begins | Turn::Lasts | Turn::Test => "3",
        Turn::Ends => "2",
    };
    let request = client
        .post(url)
        // A header takes no line breaks and no letters beyond ASCII, so the title goes by the URL.
        .query(&[("title", told.title().as_str()), ("priority", priority)])
        .body(told.text.to_owned());
    send(with_token(request, token_file)?).await
}

pub(super) async fn telegram(
    client: &Client,
    url: Option<&str>,
    (token_file, chat_id): (&Path, &str),
    told: &Told<'_>,
) -> Result<(), SendError> {
    let token = secret(token_file, "a bot's token")?;
    let url = format!("{}/bot{token}/sendMessage", url.unwrap_or(TELEGRAM).trim_end_matches('/'));
    let text = format!("{}\n{}", told.title(), told.text);
    let quiet = if told.urgent { "false" } else { "true" };
    let form = [("chat_id", chat_id), ("text", &text), ("disable_notification", quiet)];
    send(client.post(url).form(&form)).await
}

fn with_token(
    request: RequestBuilder,
    token_file: Option<&Path>,
) -> Result<RequestBuilder, SendError> {
    let Some(path) = token_file else { return Ok(request) };
    Ok(request.header(AUTHORIZATION, format!("Bearer {}", secret(path, "a token")?)))
}

async fn send(request: RequestBuilder) -> Result<(), SendError> {
    // The URL may hold a token.
    let unreached = |error: reqwest::Error| {
        let error = error.without_url();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        SendError::Unreached(format!("{error}{}", cause.unwrap_or_default()))
    };
    let answer = request.send().await.map_err(unreached)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(SendError::Refused(format!("it answers {status}")))
}
