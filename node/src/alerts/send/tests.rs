//! Receivers against servers that speak HTTP, MQTT and SMTP over real sockets.

mod secure;

use std::fs;
use std::path::PathBuf;

use boltgrid_protocol::units::Timestamp;
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    split,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::broker_for_tests::{Heard, Manners, broker};

fn alert(urgent: bool) -> Alert {
    Alert {
        number: 7,
        rule: "too much power".to_owned(),
        turn: Turn::Begins,
        text: "9500 W taken from the grid".to_owned(),
        at: Timestamp::from_unix_ms(1_800_000_000_000),
        urgent,
    }
}

fn secret_file(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("secret");
    fs::write(&path, text).unwrap();
    path
}

/// Takes one HTTP request and answers it; returns it as text.
async fn asked(listener: &TcpListener, answer: &str) -> String {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let read = stream.read(&mut part).await.unwrap();
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
        });
        if body.len() >= length.unwrap_or(0) || read == 0 {
            stream.write_all(answer.as_bytes()).await.unwrap();
            return text;
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Tells an alert to a server that answers so; returns what it heard and what came of it.
async fn told(
    to: impl FnOnce(String) -> Destination,
    answer: &str,
) -> (String, Result<(), SendError>) {
    // As `main` does; another test may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/topic", listener.local_addr().unwrap());
    let receiver =
        Receiver::open(ReceiverConfig { name: "phone".to_owned(), to: to(url) }).unwrap();
    let alert = alert(true);
    tokio::join!(asked(&listener, answer), receiver.tell("bus7", &alert))
}

#[tokio::test]
async fn telegram_rings_for_what_is_urgent_only() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let dir = tempfile::tempdir().unwrap();
    let token_file = secret_file(&dir, "12:token");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Some(format!("http://{}", listener.local_addr().unwrap()));
    let to = Destination::Telegram { token_file, chat_id: "-42".to_owned(), url };
    let receiver = Receiver::open(ReceiverConfig { name: "chat".to_owned(), to }).unwrap();
    for (urgent, said) in
        [(true, "disable_notification=false"), (false, "disable_notification=true")]
    {
        let alert = alert(urgent);
        let (heard, sent) = tokio::join!(asked(&listener, OK), receiver.tell("bus7", &alert));
        sent.unwrap();
        assert!(heard.ends_with(said), "urgent {urgent}: {heard}");
    }
}

#[tokio::test]
async fn a_webhook_gets_the_alert_as_json_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = Some(secret_file(&dir, "s3cret\nwhat follows is no secret\n"));
    let (heard, sent) = told(|url| Destination::Webhook { url, token_file }, OK).await;
    sent.unwrap();
    assert!(heard.starts_with("POST /topic HTTP/1.1\r\n"), "{heard}");
    assert!(heard.to_lowercase().contains("authorization: bearer s3cret\r\n"), "{heard}");
    let json = "{\"node\":\"bus7\",\"rule\":\"too much power\",\"turn\":\"begins\",\
        \"text\":\"9500 W taken from the grid\",\"urgent\":true,\"at_unix_ms\":\"1800000000000\"}";
    assert!(heard.ends_with(json), "{heard}");
}

#[tokio::test]
async fn ntfy_gets_title_and_priority() {
    let (heard, sent) = told(|url| Destination::Ntfy { url, token_file: None }, OK).await;
    sent.unwrap();
    let first = "POST /topic?title=too+much+power+%28bus7%29&priority=5 HTTP/1.1\r\n";
    assert!(heard.starts_with(first), "{heard}");
    assert!(heard.ends_with("\r\n\r\n9500 W taken from the grid"), "{heard}");
}

#[tokio::test]
async fn telegram_gets_chat_and_text_and_nobody_is_told_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let token_file = secret_file(&dir, "12:token");
    let to = |url| {
        let chat_id = "-42".to_owned();
        Destination::Telegram { token_file: token_file.clone(), chat_id, url: Some(url) }
    };
    let (heard, sent) = told(to, OK).await;
    sent.unwrap();
    assert!(heard.starts_with("POST /topic/bot12:token/sendMessage HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("chat_id=-42&text=too+much+power"), "{heard}");
    let (_, refused) = told(to, &OK.replace("200 OK", "401 Unauthorized")).await;
    let why = refused.unwrap_err().to_string();
    assert!(why.contains("401") && !why.contains("token"), "{why}");
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let receiver = Receiver::open(ReceiverConfig { name: "chat".to_owned(), to: to(url) }).unwrap();
    let why = receiver.tell("bus7", &alert(false)).await.unwrap_err();
    assert!(matches!(why, SendError::Unreached(_)), "{why}");
    assert!(!why.to_string().contains("12:token"), "{why}");
}

#[tokio::test]
async fn a_secret_follows_nobody_elsewhere() {
    let elsewhere = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\n\
        content-length: 0\r\nconnection: close\r\n\r\n";
    let (_, sent) = told(|url| Destination::Webhook { url, token_file: None }, elsewhere).await;
    assert!(matches!(sent, Err(SendError::Refused(why)) if why.contains("307")));
}

/// A mail server in a few words; returns the lines that it was told.
async fn mail_server(stream: impl AsyncRead + AsyncWrite, to_rcpt: &str) -> Vec<String> {
    let (read, mut write) = split(stream);
    let mut lines = BufReader::new(read).lines();
    let (mut told, mut in_data) = (Vec::new(), false);
    write.write_all(b"220 here\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        told.push(line.clone());
        let word = line.split(' ').next().unwrap_or_default().to_uppercase();
        let answer = match word.as_str() {
            "." => {
                in_data = false;
                "250 taken\r\n"
            }
            _ if in_data => continue,
            "DATA" => {
                in_data = true;
                "354 go on\r\n"
            }
            "RCPT" => to_rcpt,
            "EHLO" => "250-here\r\n250 AUTH PLAIN\r\n",
            "AUTH" => "235 come in\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        write.write_all(answer.as_bytes()).await.unwrap();
    }
    told
}

async fn mailed(to_rcpt: &str) -> (Vec<String>, Result<(), SendError>) {
    // As `main` does; another test may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Destination::Mail {
        server: "127.0.0.1".to_owned(),
        port: Some(listener.local_addr().unwrap().port()),
        security: MailSecurity::None,
        from: "Boltgrid <node@example.org>".to_owned(),
        to: "house@example.org".to_owned(),
        credentials_file: None,
    };
    let receiver = Receiver::open(ReceiverConfig { name: "mail".to_owned(), to }).unwrap();
    let alert = alert(false);
    let server = async {
        let (stream, _) = listener.accept().await.unwrap();
        mail_server(stream, to_rcpt).await
    };
    tokio::join!(server, receiver.tell("bus7", &alert))
}

#[tokio::test]
async fn a_mail_server_takes_the_alert() {
    let (told, sent) = mailed("250 ok\r\n").await;
    sent.unwrap();
    let has = |line: &str| told.iter().any(|it| it == line);
    assert!(has("MAIL FROM:<node@example.org>") && has("RCPT TO:<house@example.org>"), "{told:?}");
    assert!(has("Subject: too much power (bus7)"), "{told:?}");
    assert!(has("9500 W taken from the grid"), "{told:?}");
}

#[tokio::test]
async fn what_a_mail_server_refuses_is_told() {
    let (_, sent) = mailed("550 nobody of that name\r\n").await;
    assert!(matches!(sent, Err(SendError::Refused(why)) if why.contains("nobody of that name")));
}

/// Tells an alert to a broker; returns what it heard and what came of it.
async fn published(manners: Manners) -> (Vec<Heard>, Result<(), SendError>) {
    // As `main` does; another test may have been first.
    drop(rustls::crypto::ring::default_provider().install_default());
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Destination::Mqtt {
        broker: listener.local_addr().unwrap().to_string().parse().unwrap(),
        topic: "house/alerts".to_owned(),
        credentials_file: Some(secret_file(&dir, "node:s3cret\n")),
        tls: None,
    };
    let receiver = Receiver::open(ReceiverConfig { name: "broker".to_owned(), to }).unwrap();
    let (tell, mut told) = mpsc::channel(16);
    let alert = alert(true);
    let ((), sent) = tokio::join!(broker(&listener, &tell, manners), receiver.tell("bus7", &alert));
    drop(tell);
    let mut heard = Vec::new();
    while let Some(it) = told.recv().await {
        heard.push(it);
    }
    (heard, sent)
}

#[tokio::test]
async fn a_broker_gets_the_alert_as_json_in_its_topic() {
    let (heard, sent) = published(Manners::GOOD).await;
    sent.unwrap();
    let json = "{\"node\":\"bus7\",\"rule\":\"too much power\",\"turn\":\"begins\",\
        \"text\":\"9500 W taken from the grid\",\"urgent\":true,\"at_unix_ms\":\"1800000000000\"}";
    let login = Some(("node".to_owned(), "s3cret".to_owned()));
    let message = Heard::Published("house/alerts".to_owned(), json.to_owned(), false);
    assert_eq!(heard, [Heard::Connected { will: None, login }, message]);
}

#[tokio::test]
async fn an_alert_is_told_only_once_the_broker_says_that_it_has_it() {
    // It hangs up after the message, and before its word on it.
    let (heard, sent) = published(Manners { lives: 2, acknowledges: false, ..Manners::GOOD }).await;
    assert!(matches!(&heard[1], Heard::Published(..)), "{heard:?}");
    assert!(matches!(sent, Err(SendError::Unreached(_))), "{sent:?}");
    let (_, sent) = published(Manners { lives: 1, lets_in: false, ..Manners::GOOD }).await;
    let why = sent.unwrap_err();
    assert!(matches!(why, SendError::Refused(_)), "{why:?}");
    assert!(why.to_string().contains("NotAuthorized") && !why.to_string().contains("s3cret"));
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |to: Destination, why: &str| {
        let error = to.check().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    };
    let webhook = |url: &str| Destination::Webhook { url: url.to_owned(), token_file: None };
    refused(webhook("house"), "is no URL");
    refused(webhook("ftp://house/"), "must begin with https://");
    let missing = Some(dir.path().join("missing"));
    let url = "https://ntfy.sh/house".to_owned();
    refused(Destination::Ntfy { url, token_file: missing }, "missing cannot be read");
    let mail = |from: &str, credentials_file| Destination::Mail {
        server: "mail".to_owned(),
        port: None,
        security: MailSecurity::None,
        from: from.to_owned(),
        to: "a@b.example".to_owned(),
        credentials_file,
    };
    refused(mail("nobody", None), "is no address");
    let file = Some(secret_file(&dir, "user:password"));
    refused(mail("a@b.example", file), "not sent in the clear");
    let mqtt = Destination::Mqtt {
        broker: "127.0.0.1".parse().unwrap(),
        topic: "all/#".to_owned(),
        credentials_file: None,
        tls: None,
    };
    refused(mqtt, "is not a topic");
}
