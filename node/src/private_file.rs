//! Whether a file with a secret can be read by its owner only.
//!
//! The service manager hands secrets over as files in a folder that only this service sees
//! (`LoadCredential=` of systemd). It lets the service read them by an access-control list, which shows
//! as a mode that lets a group read; there, only what would let everybody read or anybody write counts.
//! Not for: reading secrets, or making such files.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::config::credentials_dir;

/// What must not be set of a file's mode.
const OTHERS: u32 = 0o077;
/// What must not be set of the mode of a file that the service manager handed over.
const OTHERS_OF_CREDENTIALS: u32 = 0o037;

/// The mode of a file that is open to others than its owner; none where it is not.
pub(crate) fn open_to_others(path: &Path, metadata: &Metadata) -> Option<u32> {
    let is_handed_over = credentials_dir().is_some_and(|dir| path.starts_with(dir));
    open_by_mode(metadata.permissions().mode() & 0o777, is_handed_over)
}

fn open_by_mode(mode: u32, is_handed_over: bool) -> Option<u32> {
    let forbidden = if is_handed_over { OTHERS_OF_CREDENTIALS } else { OTHERS };
    (mode & forbidden != 0).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_for_its_owner_only_and_a_credential_for_whom_the_manager_says() {
        for (mode, is_handed_over, open) in [
            (0o600, false, false),
            (0o400, false, false),
            (0o440, false, true),
            (0o604, false, true),
            (0o440, true, false),
            (0o400, true, false),
            (0o444, true, true),
            (0o460, true, true),
        ] {
            assert_eq!(open_by_mode(mode, is_handed_over).is_some(), open, "{mode:o}");
        }
    }
}
