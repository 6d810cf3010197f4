//! Proving to a device who one is: basic and digest authentication (RFC 7617, RFC 7616).
//!
//! Of the digests only SHA-256 with `qop=auth` is done, the one that Shelly devices ask for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::super::credentials::Credentials;

/// Bytes of chance in a client's nonce.
const NONCE_LEN: usize = 16;

/// How to prove who one is.
#[derive(Debug)]
pub(super) enum Auth {
    None,
    Basic(Credentials),
    Digest(Credentials, Option<Challenge>),
}

/// What a device wants a digest of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// How often the nonce was used.
    count: u32,
}

impl Auth {
    pub(super) const fn digest(credentials: Credentials) -> Self {
        Self::Digest(credentials, None)
    }

    /// The header that goes with a request, where there is one yet.
    pub(super) fn header(&mut self, method: &str, path: &str) -> Option<String> {
        match self {
            Self::None => None,
            Self::Basic(Credentials { user, password }) => {
                let told = Zeroizing::new(format!("{user}:{}", password.as_str()));
                Some(format!("Basic {}", STANDARD.encode(told.as_bytes())))
            }
            Self::Digest(credentials, challenge) => {
                let challenge = challenge.as_mut()?;
                challenge.count = challenge.count.wrapping_add(1);
                let mut chance = [0; NONCE_LEN];
                getrandom::fill(&mut chance).ok()?;
                Some(challenge.answer(credentials, method, path, &hex(&chance)))
            }
        }
    }

    /// Takes what a device wants, from its refusal. Says whether to ask again, or else what is wrong.
    pub(super) fn challenged(&mut self, header: Option<&str>) -> Result<(), String> {
        match self {
            Self::None => {
                Err("it wants to know who asks; set `auth` and `credentials_file`".into())
            }
            Self::Basic(_) => Err("it does not take the user and password".into()),
            Self::Digest(_, known) => {
                let new = header.and_then(Challenge::parse).ok_or_else(|| {
                    "it does not ask for a digest by SHA-256; is `auth` right?".to_owned()
                })?;
                *known = Some(new);
                Ok(())
            }
        }
    }
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let mut challenge =
            Self { realm: String::new(), nonce: String::new(), opaque: None, count: 0 };
        let (mut sha256, mut auth) = (false, false);
        for (name, value) in parameters(rest) {
            match name.to_ascii_lowercase().as_str() {
                "realm" => challenge.realm = value,
                "nonce" => challenge.nonce = value,
                "opaque" => challenge.opaque = Some(value),
                "algorithm" => sha256 = value.eq_ignore_ascii_case("SHA-256"),
                "qop" => auth = value.split(',').any(|qop| qop.trim() == "auth"),
                _ => {}
            }
        }
        (sha256 && auth && !challenge.nonce.is_empty()).then_some(challenge)
    }

    fn answer(&self, credentials: &Credentials, method: &str, path: &str, cnonce: &str) -> String {
        let Credentials { user, password } = credentials;
        let Self { realm, nonce, opaque, count } = self;
        let secret = Zeroizing::new(format!("{user}:{realm}:{}", password.as_str()));
        let secret = Zeroizing::new(digest(secret.as_bytes()));
        let asked = digest(format!("{method}:{path}").as_bytes());
        let proof = format!("{}:{nonce}:{count:08x}:{cnonce}:auth:{asked}", secret.as_str());
        let proof = digest(proof.as_bytes());
        let opaque = opaque.as_ref().map_or_else(String::new, |it| format!(", opaque=\"{it}\""));
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", \
             cnonce=\"{cnonce}\", nc={count:08x}, qop=auth, response=\"{proof}\", \
             algorithm=SHA-256{opaque}"
        )
    }
}

/// The `name=value` and `name="value"` of a header. Values with anything escaped are left out.
fn parameters(mut text: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    while let Some((name, rest)) = text.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']);
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(',').unwrap_or((rest, "")),
        };
        if !value.contains('\\') {
            found.push((name, value.trim().to_owned()));
        }
        text = rest;
    }
    found
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7616, section 3.9.1.
    const CHALLENGE: &str = "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", \
        algorithm=SHA-256, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
        opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    #[test]
    fn a_digest_is_that_of_the_standard() {
        let credentials = Credentials::parse("Mufasa:Circle of Life\n").unwrap();
        let mut challenge = Challenge::parse(CHALLENGE).unwrap();
        challenge.count = 1;
        let answer = challenge.answer(&credentials, "GET", "/dir/index.html", CNONCE);
        let proof = "response=\"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1\"";
        assert!(answer.contains(proof), "{answer}");
        assert!(answer.contains("nc=00000001") && answer.contains("opaque=\"FQhe"), "{answer}");
    }

    #[test]
    fn another_way_of_asking_is_named() {
        for header in [
            "Basic realm=\"x\"",
            "Digest realm=\"x\", nonce=\"y\", qop=\"auth\", algorithm=MD5",
            "Digest realm=\"x\", nonce=\"y\", qop=\"auth\"",
            "Digest realm=\"x\", nonce=\"y\", algorithm=SHA-256",
            "Digest realm=\"x\", qop=\"auth\", algorithm=SHA-256",
            "Digest",
            "=\"=,\"=",
        ] {
            assert_eq!(Challenge::parse(header), None, "{header}");
        }
        let credentials = Credentials::parse("a:b").unwrap();
        assert!(Auth::digest(credentials.clone()).challenged(None).is_err());
        assert!(Auth::Basic(credentials.clone()).challenged(Some(CHALLENGE)).is_err());
        let told = format!("{credentials:?}");
        assert!(told.contains("\"a\"") && !told.contains("\"b\""), "{told}");
        assert!(Credentials::parse("nobody").is_none() && Credentials::parse("").is_none());
    }

    #[test]
    fn basic_is_user_and_password() {
        let mut auth = Auth::Basic(Credentials::parse("Aladdin:open sesame").unwrap());
        assert_eq!(auth.header("GET", "/").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
