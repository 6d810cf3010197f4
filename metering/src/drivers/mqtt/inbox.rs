//! What was published last in each topic of a meter, and what it shows together.

use boltgrid_protocol::units::Power;
use tokio::time::Instant;

use super::super::heard::Trouble;
use super::super::json::{JsonPoints, JsonRejected};
use crate::shown::Shown;

/// The topics of a meter.
pub(super) struct Inbox {
    topics: Vec<Topic>,
    rated: Option<Power>,
}

struct Topic {
    name: String,
    points: JsonPoints,
    /// When it came, and what it was.
    latest: Option<(Instant, String)>,
}

impl Inbox {
    pub(super) fn new(topics: Vec<(String, JsonPoints)>, rated: Option<Power>) -> Self {
        let topics =
            topics.into_iter().map(|(name, points)| Topic { name, points, latest: None }).collect();
        Self { topics, rated }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.topics.iter().map(|topic| &topic.name)
    }

    /// Takes a message that arrived just now. Returns what all topics show together and since when the
    /// oldest of them stands, as soon as each has shown something.
    pub(super) fn take(
        &mut self,
        name: &str,
        payload: &[u8],
    ) -> Result<Option<(Instant, Shown)>, Trouble> {
        let rated = self.rated;
        let Some(topic) = self.topics.iter_mut().find(|topic| topic.name == name) else {
            return Ok(None);
        };
        let garbled = |what: String| Trouble::Garbled(format!("topic `{name}`: {what}"));
        let text = str::from_utf8(payload).map_err(|_| garbled("it is not text".to_owned()))?;
        let mut alone = Shown::default();
        let found =
            read_payload(&topic.points, text, rated, &mut alone).map_err(
                |rejected| match rejected {
                    JsonRejected::Impossible { quantity, source } => {
                        Trouble::Point { point: quantity.name().to_owned(), source }
                    }
                    JsonRejected::Syntax(_) | JsonRejected::NoNumber { .. } => {
                        garbled(rejected.to_string())
                    }
                },
            )?;
        // Some devices publish other things in the same topic now and then.
        if found == 0 {
            return Ok(None);
        }
        topic.latest = Some((Instant::now(), text.to_owned()));
        Ok(self.together())
    }

    fn together(&self) -> Option<(Instant, Shown)> {
        let mut shown = Shown::default();
        let mut since: Option<Instant> = None;
        for topic in &self.topics {
            let (at, text) = topic.latest.as_ref()?;
            // It was read before, when it came.
            read_payload(&topic.points, text, self.rated, &mut shown).ok()?;
            since = Some(since.map_or(*at, |since| since.min(*at)));
        }
        Some((since?, shown))
    }
}

/// Puts down what a message shows: JSON, or a number as people write it.
///
/// # Errors
///
/// [`JsonRejected`].
pub fn read_payload(
    points: &JsonPoints,
    text: &str,
    rated: Option<Power>,
    shown: &mut Shown,
) -> Result<usize, JsonRejected> {
    let read = points.read(text, rated, shown);
    match (&read, serde_json::to_string(text)) {
        (Err(JsonRejected::Syntax(_)), Ok(quoted))
            if !text.trim_start().starts_with(['{', '[']) =>
        {
            points.read(&quoted, rated, shown)
        }
        _ => read,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::json::JsonPoint;
    use super::*;

    fn inbox() -> Inbox {
        let point = |text: &str| {
            let point: JsonPoint = toml::from_str(text).unwrap();
            JsonPoints::new(&[point], 0).unwrap()
        };
        let power = point("quantity = \"power\"\nunit = \"W\"");
        let import = point("quantity = \"import\"\npath = \"$.total\"\nunit = \"kWh\"");
        Inbox::new(vec![("a/power".to_owned(), power), ("a/energy".to_owned(), import)], None)
    }

    fn power_mw(taken: Result<Option<(Instant, Shown)>, Trouble>) -> Option<i64> {
        taken.unwrap().and_then(|(_, shown)| shown.power.map(Power::to_milliwatts))
    }

    #[test]
    fn nothing_is_shown_before_each_topic_has_shown_something() {
        let mut inbox = inbox();
        assert_eq!(power_mw(inbox.take("a/power", b"12.5")), None);
        assert_eq!(power_mw(inbox.take("a/energy", b"{\"other\": 1}")), None);
        assert_eq!(power_mw(inbox.take("a/energy", b"{\"total\": 1.5}")), Some(12_500));
        assert_eq!(power_mw(inbox.take("a/power", b" +013.25\n")), Some(13_250));
        assert_eq!(power_mw(inbox.take("a/else", b"99")), None);
    }

    #[test]
    fn what_is_shown_is_as_old_as_its_oldest_part() {
        let mut inbox = inbox();
        inbox.take("a/energy", b"{\"total\": 1}").unwrap();
        let before = Instant::now();
        while Instant::now() == before {}
        let (since, _) = inbox.take("a/power", b"1").unwrap().unwrap();
        assert!(since <= before);
    }

    #[test]
    fn a_message_without_meaning_leaves_the_last_one_standing() {
        let mut inbox = inbox();
        inbox.take("a/power", b"1").unwrap();
        let bad: [&[u8]; 7] = [b"", b"on", b"true", b"{\"a\"", b"[1]", &[0xFF], b"1e15"];
        for payload in bad {
            assert!(inbox.take("a/power", payload).is_err(), "{payload:?}");
        }
        assert_eq!(power_mw(inbox.take("a/energy", b"{\"total\": \"2\"}")), Some(1_000));
    }
}
