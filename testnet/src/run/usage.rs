//! What a process has used of memory and processor, as Linux tells in `/proc`.

use std::fs;

/// What one process has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory that it held, in KiB.
    pub rss_kb_max: u64,
    /// The memory that it holds now, in KiB.
    pub rss_kb: u64,
    /// Its processor time.
    pub cpu_ms: u64,
}

impl Usage {
    /// Of a process of this machine; `None` once it is gone.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
        let ticks_per_s = rustix::param::clock_ticks_per_second();
        Self::parse(&read("status")?, &read("stat")?, ticks_per_s)
    }

    fn parse(status: &str, stat: &str, ticks_per_s: u64) -> Option<Self> {
        let kb = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let (rss_kb_max, rss_kb) = (kb("VmHWM:")?, kb("VmRSS:")?);
        // The second field is the program's name in parentheses, which may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
        let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
        let cpu_ms = user.saturating_add(system).saturating_mul(1000).checked_div(ticks_per_s)?;
        Some(Self { rss_kb_max, rss_kb, cpu_ms })
    }

    /// What two processes of one node used, one after the other.
    #[must_use]
    pub fn and_then(self, later: Self) -> Self {
        Self {
            rss_kb_max: self.rss_kb_max.max(later.rss_kb_max),
            rss_kb: later.rss_kb,
            cpu_ms: self.cpu_ms.saturating_add(later.cpu_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_program_name() {
        let status = "Name:\ta b) c\nVmPeak:\t  999 kB\nVmHWM:\t   51200 kB\nVmRSS:\t 4 kB\n";
        let stat = "42 (a b) 1 2) S 1 42 42 0 -1 4194304 900 0 0 0 150 50 0 0 20 0 9 0 77 1 2";
        let expected = Usage { rss_kb_max: 51_200, rss_kb: 4, cpu_ms: 2_000 };
        assert_eq!(Usage::parse(status, stat, 100), Some(expected));
        assert_eq!(Usage::parse("", stat, 100), None);
        assert_eq!(Usage::parse(status, "42 (x) S 1", 100), None);
    }

    #[test]
    fn this_very_process_uses_memory() {
        assert!(Usage::of(std::process::id()).unwrap().rss_kb_max > 100);
    }
}
