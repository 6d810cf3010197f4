//! Files that the pages need, embedded in the binary: style, script, and what others wrote
//! (`assets/vendor`, with its licences).

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// How long a browser may keep a file without asking: pages name files with the node's version.
const CACHE: &str = "private, max-age=3600";

/// A file that pages need.
#[derive(Clone, Copy)]
pub struct Asset {
    name: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

impl std::fmt::Debug for Asset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A file by its name; other pages of this workspace look like these by them.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    ASSETS.iter().find(|asset| asset.name == name).copied()
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

static ASSETS: [Asset; 6] = [
    Asset { name: "app.css", kind: STYLE, bytes: include_bytes!("../../assets/app.css") },
    Asset { name: "app.js", kind: SCRIPT, bytes: include_bytes!("../../assets/app.js") },
    Asset {
        name: "icon.svg",
        kind: "image/svg+xml",
        bytes: include_bytes!("../../assets/icon.svg"),
    },
    Asset {
        name: "htmx.min.js",
        kind: SCRIPT,
        bytes: include_bytes!("../../assets/vendor/htmx.min.js"),
    },
    Asset {
        name: "uPlot.iife.min.js",
        kind: SCRIPT,
        bytes: include_bytes!("../../assets/vendor/uPlot.iife.min.js"),
    },
    Asset {
        name: "uPlot.min.css",
        kind: STYLE,
        bytes: include_bytes!("../../assets/vendor/uPlot.min.css"),
    },
];

/// Serves one file; it is the same for everybody, so nobody is asked who it is.
pub(super) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = asset(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", blake3::hash(asset.bytes).to_hex());
    let kept = headers.get(header::IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    let about = [
        (header::CONTENT_TYPE, asset.kind.to_owned()),
        (header::CACHE_CONTROL, CACHE.to_owned()),
        (header::ETAG, tag.clone()),
    ];
    if kept == Some(tag.as_str()) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, asset.bytes).into_response()
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// What `assets/vendor/README.md` says of where they come from.
    const VENDORED: &str = include_str!("../../assets/vendor/README.md");

    #[test]
    fn what_others_wrote_is_as_it_came() {
        for name in ["htmx.min.js", "uPlot.iife.min.js", "uPlot.min.css"] {
            let asset = ASSETS.iter().find(|it| it.name == name).unwrap();
            let line = VENDORED.lines().find(|line| line.contains(name)).unwrap();
            assert!(line.contains(&hex::encode(Sha256::digest(asset.bytes))), "{name}");
        }
    }
}
