//! A meter key in a hardware security module, by PKCS#11: it signs there and never leaves it.
//!
//! The module's library blocks for as long as it likes, so it has a thread of its own; whoever waits
//! for a signature waits for a bounded time. A session that fails is opened anew once per signature,
//! so a token that was taken out and put back signs again.
//! Not for: making keys in a module; its own tools do that, such as
//! `pkcs11-tool --keypairgen --key-type EC:edwards25519 --label meter`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use boltgrid_protocol::id::MeterKey;
use boltgrid_protocol::signing::{SIGNATURE_LEN, Signature};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;
use zeroize::Zeroizing;

use super::HsmConfig;
use crate::private_file::open_to_others;

/// How long a module may take to sign; a reading that is later than that is late.
const SIGN_TIME: Duration = Duration::from_secs(5);
/// How long it may take to be found and logged in to.
const OPEN_TIME: Duration = Duration::from_secs(30);
/// Signatures asked for and not begun; there is one meter and one reading at a time.
const ASKED_MAX: usize = 2;
/// An ed25519 point as most modules show it: an octet string of 32 bytes.
const POINT_PREFIX: [u8; 2] = [0x04, 0x20];

/// Why a module does not sign.
#[derive(Debug, thiserror::Error)]
pub enum HsmError {
    /// The PIN's file.
    #[error("the PIN file {path} cannot be read: {source}")]
    Pin {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// Others on this machine can read the PIN.
    #[error("the PIN file {path} is open to others (mode {mode:o}); run `chmod 600 {path}`")]
    PinOpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The module or its token.
    #[error("the security module does not do as asked: {0}")]
    Module(#[source] Error),
    /// Some token is there, but not this one.
    #[error(
        "no token is labelled `{0}`; look at `meter_key_hsm.token_label`, and whether it is plugged in"
    )]
    NoToken(String),
    /// The token has no such key, or several.
    #[error(
        "the token has {found} ed25519 key pairs labelled `{label}`, and there must be one; look at \
         `meter_key_hsm.key_label`"
    )]
    Keys {
        /// The label.
        label: String,
        /// How many.
        found: usize,
    },
    /// What it shows is no ed25519 key or signature.
    #[error("the security module shows {0}, which is not of ed25519")]
    NotEd25519(&'static str),
    /// It takes too long.
    #[error("the security module does not answer")]
    Silent,
    /// There is no thread to be had.
    #[error("no thread for the security module: {0}")]
    Thread(#[source] std::io::Error),
}

type Asked = (Vec<u8>, oneshot::Sender<Result<Signature, HsmError>>);

/// A key in a module.
#[derive(Debug)]
pub struct HsmKey {
    public: [u8; 32],
    asked: mpsc::Sender<Asked>,
}

impl HsmKey {
    /// Logs in to the token and looks for the key.
    ///
    /// # Errors
    ///
    /// [`HsmError`].
    pub async fn open(config: &HsmConfig) -> Result<Self, HsmError> {
        let (config, pin) = (config.clone(), pin(&config.pin_file)?);
        let (asked, mut questions) = mpsc::channel::<Asked>(ASKED_MAX);
        let (opened, found) = oneshot::channel();
        thread::Builder::new()
            .name("meter key".to_owned())
            .spawn(move || {
                let (module, mut token) = match open(&config, &pin) {
                    Ok(open) => open,
                    // Whoever waited may have gone.
                    Err(error) => return drop(opened.send(Err(error))),
                };
                if opened.send(Ok(token.public)).is_err() {
                    return;
                }
                while let Some((bytes, answer)) = questions.blocking_recv() {
                    let signed = token.sign(&bytes).or_else(|error| {
                        warn!(%error, "the security module's session is opened anew");
                        token = Token::log_in(&module, &config, &pin)?;
                        token.sign(&bytes)
                    });
                    drop(answer.send(signed));
                }
            })
            .map_err(HsmError::Thread)?;
        let found = timeout(OPEN_TIME, found).await.map_err(|_| HsmError::Silent)?;
        Ok(Self { public: found.map_err(|_| HsmError::Silent)??, asked })
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> MeterKey {
        MeterKey::Ed25519(self.public)
    }

    /// Signs bytes that stand inside the domain.
    ///
    /// # Errors
    ///
    /// [`HsmError`].
    pub async fn sign(&self, in_domain: Vec<u8>) -> Result<Signature, HsmError> {
        let (answer, signed) = oneshot::channel();
        self.asked.try_send((in_domain, answer)).map_err(|_| HsmError::Silent)?;
        let signed = timeout(SIGN_TIME, signed).await.map_err(|_| HsmError::Silent)?;
        signed.map_err(|_| HsmError::Silent)?
    }
}

/// A session that is logged in, and the key.
struct Token {
    session: Session,
    private: ObjectHandle,
    public: [u8; 32],
}

fn open(config: &HsmConfig, pin: &Zeroizing<String>) -> Result<(Pkcs11, Token), HsmError> {
    let module = Pkcs11::new(&config.module_file).map_err(HsmError::Module)?;
    let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match module.initialize(threads) {
        // One module serves a whole process, and may have been asked before.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, Function::Initialize)) => {}
        Err(error) => return Err(HsmError::Module(error)),
    }
    let token = Token::log_in(&module, config, pin)?;
    Ok((module, token))
}

impl Token {
    fn log_in(
        module: &Pkcs11,
        config: &HsmConfig,
        pin: &Zeroizing<String>,
    ) -> Result<Self, HsmError> {
        let slots = module.get_slots_with_token().map_err(HsmError::Module)?;
        let is_wanted = |slot: &cryptoki::slot::Slot| {
            module.get_token_info(*slot).is_ok_and(|token| token.label() == config.token_label)
        };
        let slot = slots.into_iter().find(is_wanted);
        let slot = slot.ok_or_else(|| HsmError::NoToken(config.token_label.clone()))?;
        let session = module.open_ro_session(slot).map_err(HsmError::Module)?;
        match session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))) {
            // Another session of this process has logged in already.
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, Function::Login)) => {}
            Err(error) => return Err(HsmError::Module(error)),
        }
        let private = key_of(&session, config, ObjectClass::PRIVATE_KEY)?;
        let public = key_of(&session, config, ObjectClass::PUBLIC_KEY)?;
        let public = point(&session, public)?;
        Ok(Self { session, private, public })
    }

    fn sign(&self, bytes: &[u8]) -> Result<Signature, HsmError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
        let signed =
            self.session.sign(&mechanism, self.private, bytes).map_err(HsmError::Module)?;
        let signed: [u8; SIGNATURE_LEN] =
            signed.try_into().map_err(|_| HsmError::NotEd25519("a signature"))?;
        Ok(Signature::from_bytes(&signed))
    }
}

fn key_of(
    session: &Session,
    config: &HsmConfig,
    class: ObjectClass,
) -> Result<ObjectHandle, HsmError> {
    let wanted = [
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC_EDWARDS),
        Attribute::Label(config.key_label.clone().into_bytes()),
    ];
    let found = session.find_objects(&wanted).map_err(HsmError::Module)?;
    match found[..] {
        [key] => Ok(key),
        _ => Err(HsmError::Keys { label: config.key_label.clone(), found: found.len() }),
    }
}

/// The public key of a key object: a bare point, or one as an octet string.
fn point(session: &Session, key: ObjectHandle) -> Result<[u8; 32], HsmError> {
    let shown = session.get_attributes(key, &[AttributeType::EcPoint]).map_err(HsmError::Module)?;
    let point = shown.into_iter().find_map(|attribute| {
        if let Attribute::EcPoint(point) = attribute { Some(point) } else { None }
    });
    let point = point.unwrap_or_default();
    let bare = point.strip_prefix(&POINT_PREFIX).unwrap_or(&point);
    bare.try_into().map_err(|_| HsmError::NotEd25519("a public key"))
}

fn pin(path: &Path) -> Result<Zeroizing<String>, HsmError> {
    let failed = |source| HsmError::Pin { path: path.to_owned(), source };
    if let Some(mode) = open_to_others(path, &fs::metadata(path).map_err(failed)?) {
        return Err(HsmError::PinOpenToOthers { path: path.to_owned(), mode });
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
    Ok(Zeroizing::new(text.trim().to_owned()))
}

#[cfg(test)]
mod tests;
