//! What all pages have in common: who looks, in which language and theme, and how a page becomes an
//! answer.

use askama::Template;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::format::Format;
use super::words::{Language, Words, fill};
use crate::access::Role;
use crate::config::Fiat;

/// The cookies of a browser's own taste.
pub(super) const LANGUAGE_COOKIE: &str = "boltgrid_language";
pub(super) const THEME_COOKIE: &str = "boltgrid_theme";

/// What the frame around a page shows.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Of the page that is shown.
    pub(super) page: &'static str,
    pub(super) language: Language,
    /// `light`, `dark`, or empty for what the browser prefers.
    pub(super) theme: &'static str,
    pub(super) grid_name: String,
    /// This participant in short.
    pub(super) who: String,
    /// What the caller may do; none at the sign-in.
    pub(super) role: Option<Role>,
    /// The owner's rate of a currency, if any.
    pub(super) fiat: Option<Fiat>,
    /// What was done just now, or why it was not.
    pub(super) notice: Option<Notice>,
}

/// What followed from a form.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) is_good: bool,
    pub(super) text: String,
}

impl Frame {
    pub(super) fn words(&self) -> &'static Words {
        self.language.words()
    }

    pub(super) const fn format(&self) -> Format {
        Format(self.language, self.fiat)
    }

    pub(super) const fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Whether the caller may do what needs `role`.
    pub(super) fn may(&self, role: Role) -> bool {
        self.role.is_some_and(|own| own >= role)
    }

    /// Whether the caller may only look.
    pub(super) fn only_looks(&self) -> bool {
        self.role == Some(Role::Read)
    }

    /// By which rate amounts are shown in another currency too; none where they are not.
    pub(super) fn rate(&self) -> Option<String> {
        let fiat = self.fiat?;
        let rate = self.format().grouped(u128::from(fiat.per_bitcoin));
        Some(fill(self.words().fiat_rate, &[("rate", &rate), ("currency", fiat.code())]))
    }

    pub(super) fn other_language(&self) -> &'static str {
        match self.language {
            Language::English => Language::German.code(),
            Language::German => Language::English.code(),
        }
    }
}

/// What a request says of its sender's taste: the language by cookie or by what the browser accepts,
/// and the theme by cookie.
pub(super) fn taste(headers: &HeaderMap) -> (Language, &'static str) {
    let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|it| it.to_str().ok());
    let first_known = accepted.and_then(|accepted| {
        accepted.split(',').find_map(|it| Language::from_code(it.trim().get(..2)?))
    });
    let chosen = cookie(headers, LANGUAGE_COOKIE).and_then(Language::from_code);
    let language = chosen.or(first_known).unwrap_or(Language::English);
    let theme = match cookie(headers, THEME_COOKIE) {
        Some("light") => "light",
        Some("dark") => "dark",
        Some(_) | None => "",
    };
    (language, theme)
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|it| it.to_str().ok());
    let mut pairs = all.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// A page, or a part of one, as an answer.
pub(super) fn show(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the dashboard cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, it)| (name.clone(), HeaderValue::from_static(it)));
        pairs.collect()
    }

    #[test]
    fn the_browsers_first_known_language_counts_unless_another_was_chosen() {
        let of = |pairs: &[_]| taste(&headers(pairs)).0;
        assert_eq!(of(&[(header::ACCEPT_LANGUAGE, "fr, de-AT;q=0.8, en")]), Language::German);
        assert_eq!(of(&[(header::ACCEPT_LANGUAGE, "fr")]), Language::English);
        let chosen = (header::COOKIE, "a=b; boltgrid_language=en");
        assert_eq!(of(&[(header::ACCEPT_LANGUAGE, "de"), chosen]), Language::English);
    }

    #[test]
    fn a_theme_is_one_of_ours_or_none() {
        let of = |text| taste(&headers(&[(header::COOKIE, text)])).1;
        assert_eq!(of("boltgrid_theme=dark"), "dark");
        assert_eq!(of("boltgrid_theme=\"><script>"), "");
    }
}
