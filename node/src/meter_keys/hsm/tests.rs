//! Against `SoftHSM`, where `SOFTHSM2_MODULE` says where its library is; else this says so and passes.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use boltgrid_protocol::signing::PublicKey;
use cryptoki::session::Session;

use super::*;

/// `SoftHSM` reads its environment once per process, so one test does everything in turn.
#[tokio::test]
async fn a_key_in_a_module_signs_as_one_in_a_file_does() {
    let Some(module_file) = env::var_os("SOFTHSM2_MODULE").map(PathBuf::from) else {
        writeln!(
            std::io::stderr(),
            "SKIPPED: set SOFTHSM2_MODULE to libsofthsm2.so and SOFTHSM2_CONF to a file with \
             `directories.tokendir = DIR` to test keys in a security module"
        )
        .unwrap();
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let pin_file = dir.path().join("pin");
    fs::write(&pin_file, "8642\n").unwrap();
    fs::set_permissions(&pin_file, fs::Permissions::from_mode(0o644)).unwrap();
    let label = format!("boltgrid {}", std::process::id());
    let config = HsmConfig {
        module_file,
        token_label: label.clone(),
        key_label: "meter".to_owned(),
        pin_file: pin_file.clone(),
    };
    assert!(matches!(HsmKey::open(&config).await, Err(HsmError::PinOpenToOthers { .. })));
    fs::set_permissions(&pin_file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(HsmKey::open(&config).await, Err(HsmError::NoToken(_))));

    let module = Pkcs11::new(&config.module_file).unwrap();
    drop(module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)));
    make_token(&module, &label);
    let Err(HsmError::Keys { found: 0, .. }) = HsmKey::open(&config).await else {
        panic!("there is no key yet")
    };
    make_key(&rw_session(&module, &label), "meter");

    let key = HsmKey::open(&config).await.unwrap();
    let public = PublicKey::of_meter(&key.public()).unwrap();
    // What `PublicKey` verifies is inside the domain.
    let message = b"a reading".as_slice();
    let in_domain = [b"boltgrid signature 1\0".as_slice(), message].concat();
    let signature = key.sign(in_domain.clone()).await.unwrap();
    assert_eq!(public.verify(message, &signature), Ok(()));
    assert_eq!(
        key.sign(in_domain.clone()).await.unwrap(),
        signature,
        "ed25519 has no chance in it"
    );
    assert!(public.verify(message, &key.sign(message.to_vec()).await.unwrap()).is_err());

    make_key(&rw_session(&module, &label), "meter");
    let Err(HsmError::Keys { found: 2, .. }) = HsmKey::open(&config).await else {
        panic!("two keys have one label")
    };
    let wrong_pin = HsmConfig { pin_file: dir.path().join("none"), ..config };
    assert!(matches!(HsmKey::open(&wrong_pin).await, Err(HsmError::Pin { .. })));
}

fn make_token(module: &Pkcs11, label: &str) {
    let free = module
        .get_slots_with_token()
        .unwrap()
        .into_iter()
        .find(|slot| !module.get_token_info(*slot).unwrap().token_initialized());
    let officer = AuthPin::new("1357".into());
    module.init_token(free.expect("SoftHSM has a free slot"), &officer, label).unwrap();
    let session = module.open_rw_session(slot_of(module, label)).unwrap();
    session.login(UserType::So, Some(&officer)).unwrap();
    session.init_pin(&AuthPin::new("8642".into())).unwrap();
    session.logout().unwrap();
}

fn slot_of(module: &Pkcs11, label: &str) -> cryptoki::slot::Slot {
    let mut slots = module.get_slots_with_token().unwrap().into_iter();
    slots.find(|slot| module.get_token_info(*slot).unwrap().label() == label).unwrap()
}

fn rw_session(module: &Pkcs11, label: &str) -> Session {
    let session = module.open_rw_session(slot_of(module, label)).unwrap();
    // The node's own session may have logged in already.
    drop(session.login(UserType::User, Some(&AuthPin::new("8642".into()))));
    session
}

fn make_key(session: &Session, label: &str) {
    let label = Attribute::Label(label.as_bytes().to_vec());
    // The object identifier of ed25519.
    let curve = Attribute::EcParams(vec![0x06, 0x03, 0x2b, 0x65, 0x70]);
    let public = [Attribute::Token(true), Attribute::Verify(true), curve, label.clone()];
    let private = [Attribute::Token(true), Attribute::Private(true), Attribute::Sign(true), label];
    session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private).unwrap();
}
