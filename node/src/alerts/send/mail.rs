//! Alerts by e-mail (SMTP).

use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::{Destination, MailSecurity, SendError, TIMEOUT, Told, credentials};

/// Whether the addresses are some, and the secrets are there.
pub(super) fn check(mail: &Destination) -> Result<(), SendError> {
    let Destination::Mail { from, to, credentials_file, security, .. } = mail else {
        return Ok(());
    };
    mailbox(from)?;
    mailbox(to)?;
    let Some(path) = credentials_file else { return Ok(()) };
    if *security == MailSecurity::None {
        let problem = "a password is not sent in the clear: set `security` to tls or starttls";
        return Err(SendError::Setting(problem.to_owned()));
    }
    credentials(path).map(drop)
}

pub(super) async fn send(mail: &Destination, told: &Told<'_>) -> Result<(), SendError> {
    let Destination::Mail { server, port, security, from, to, credentials_file } = mail else {
        return Err(SendError::Setting("this is no e-mail".to_owned()));
    };
    let message = Message::builder()
        .from(mailbox(from)?)
        .to(mailbox(to)?)
        .subject(told.title())
        .body(told.text.to_owned())
        .map_err(|error| SendError::Setting(error.to_string()))?;
    type Transport = AsyncSmtpTransport<Tokio1Executor>;
    let bad = |error: lettre::transport::smtp::Error| SendError::Setting(error.to_string());
    let mut transport = match security {
        MailSecurity::Tls => Transport::relay(server).map_err(bad)?,
        MailSecurity::Starttls => Transport::starttls_relay(server).map_err(bad)?,
        MailSecurity::None => Transport::builder_dangerous(server),
    };
    if let Some(port) = port {
        transport = transport.port(*port);
    }
    if let Some(path) = credentials_file {
        let (user, password) = credentials(path)?;
        transport = transport.credentials(Credentials::new(user, password));
    }
    let sent = transport.timeout(Some(TIMEOUT)).build().send(message).await;
    sent.map(drop).map_err(|error| {
        if error.is_permanent() || error.is_transient() {
            SendError::Refused(error.to_string())
        } else {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
            SendError::Unreached(format!("{error}{}", cause.unwrap_or_default()))
        }
    })
}

fn mailbox(text: &str) -> Result<Mailbox, SendError> {
    text.parse().map_err(|error| SendError::Setting(format!("{text:?} is no address: {error}")))
}
