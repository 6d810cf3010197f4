//! Nothing is told, and no secret said, to whoever is not the receiver: servers that speak in the clear
//! where TLS was asked for, and impostors whose certificate nobody vouches for.

use boltgrid_metering::drivers::TlsConfig;

use super::*;
use crate::broker_for_tests::tls_broker;
use crate::tls_for_tests::Itself;

/// Takes one connection over TLS, and returns what was said over it before anything was answered.
async fn said(listener: &TcpListener, itself: &Itself) -> Vec<u8> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    if let Ok(mut stream) = itself.serves().accept(stream).await {
        let mut part = [0; 4_096];
        // Whoever is connected may leave at any time.
        let read = stream.read(&mut part).await.unwrap_or(0);
        heard.extend_from_slice(&part[..read]);
    }
    heard
}

#[tokio::test]
async fn a_webhook_that_nobody_vouches_for_hears_nothing() {
    let (dir, itself) = (tempfile::tempdir().unwrap(), Itself::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    let to = Destination::Webhook { url, token_file: Some(secret_file(&dir, "s3cret")) };
    let receiver = Receiver::open(ReceiverConfig { name: "hook".to_owned(), to }).unwrap();
    let alert = alert(true);
    let (heard, sent) = tokio::join!(said(&listener, &itself), receiver.tell("bus7", &alert));
    assert!(matches!(sent, Err(SendError::Unreached(_))), "{sent:?}");
    assert!(heard.is_empty(), "{heard:?}");
}

/// An e-mail with a password, to a server on this port.
fn mail_to(port: u16, security: MailSecurity, dir: &TempDir) -> Receiver {
    let to = Destination::Mail {
        server: "127.0.0.1".to_owned(),
        port: Some(port),
        security,
        from: "node@example.org".to_owned(),
        to: "house@example.org".to_owned(),
        credentials_file: Some(secret_file(dir, "node:s3cret")),
    };
    Receiver::open(ReceiverConfig { name: "mail".to_owned(), to }).unwrap()
}

#[tokio::test]
async fn a_mail_server_that_speaks_in_the_clear_gets_neither_mail_nor_password() {
    for security in [MailSecurity::Tls, MailSecurity::Starttls] {
        let (dir, _itself) = (tempfile::tempdir().unwrap(), Itself::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = mail_to(listener.local_addr().unwrap().port(), security, &dir);
        let alert = alert(false);
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            mail_server(stream, "250 ok\r\n").await
        };
        let (told, sent) = tokio::join!(server, receiver.tell("bus7", &alert));
        assert!(sent.is_err(), "{security:?}");
        let has = |word: &str| told.iter().any(|line| line.starts_with(word));
        assert!(!has("AUTH") && !has("MAIL") && !has("DATA"), "{security:?}: {told:?}");
    }
}

#[tokio::test]
async fn a_mail_server_that_nobody_vouches_for_hears_nothing() {
    let (dir, itself) = (tempfile::tempdir().unwrap(), Itself::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let alert = alert(false);
    for security in [MailSecurity::Tls, MailSecurity::Starttls] {
        let receiver = mail_to(port, security, &dir);
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            if security == MailSecurity::Starttls {
                offer_starttls(&mut stream).await;
            }
            let Ok(stream) = itself.serves().accept(stream).await else { return Vec::new() };
            mail_server(stream, "250 ok\r\n").await
        };
        let (told, sent) = tokio::join!(server, receiver.tell("bus7", &alert));
        assert!(matches!(sent, Err(SendError::Unreached(_))), "{security:?}: {sent:?}");
        assert!(told.is_empty(), "{security:?}: {told:?}");
    }
}

/// A mail server up to the moment when TLS begins.
async fn offer_starttls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    stream.write_all(b"220 here\r\n").await.unwrap();
    for answer in ["250-here\r\n250 STARTTLS\r\n", "220 go on\r\n"] {
        while stream.read_u8().await.unwrap() != b'\n' {}
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// Tells an alert to a broker over TLS, by these settings; returns what it heard and what came of it.
async fn published_over(
    itself: &Itself,
    tls: Option<TlsConfig>,
) -> (Option<Heard>, Result<(), SendError>) {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = Destination::Mqtt {
        broker: format!("mqtts://{}", listener.local_addr().unwrap()).parse().unwrap(),
        topic: "house/alerts".to_owned(),
        credentials_file: Some(secret_file(&dir, "node:s3cret")),
        tls,
    };
    let receiver = Receiver::open(ReceiverConfig { name: "broker".to_owned(), to }).unwrap();
    let (tell, mut told) = mpsc::channel(16);
    let (alert, acceptor) = (alert(true), itself.serves());
    let serving = tls_broker(&listener, &acceptor, &tell);
    let ((), sent) = tokio::join!(serving, receiver.tell("bus7", &alert));
    (told.try_recv().ok(), sent)
}

#[tokio::test]
async fn a_broker_hears_of_it_over_tls_only_if_it_is_the_right_one() {
    let (itself, another) = (Itself::new(), Itself::new());
    let (heard, sent) = published_over(&itself, Some(itself.pinned())).await;
    sent.unwrap();
    assert!(matches!(heard, Some(Heard::Connected { login: Some(_), .. })), "{heard:?}");
    for stranger in [Some(another.pinned()), None] {
        let (heard, sent) = published_over(&itself, stranger).await;
        assert!(matches!(sent, Err(SendError::Unreached(_))), "{sent:?}");
        assert_eq!(heard, None);
    }
}
