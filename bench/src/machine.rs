//! Where a figure was measured: it is worth nothing elsewhere, nor on a machine that is busy.

use std::fmt;
use std::fs;

use std::time::Duration;

use serde::Serialize;

use crate::report::one_digit;
use crate::steal::Steal;

/// How long to look for what else runs.
const LOOK: Duration = Duration::from_millis(500);
/// A machine that is busier than this before anything was started has other work to do.
const BUSY_PERCENT: f64 = 10.0;

/// The machine that runs the load, and in most cases the nodes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    processors: usize,
    processor: String,
    kernel: String,
    build: &'static str,
    /// Processor time that others used, before anything was started.
    #[serde(serialize_with = "one_digit")]
    busy_before_percent: f64,
}

impl Machine {
    /// This one, before anything is started.
    pub(crate) fn this() -> std::io::Result<Self> {
        let look = Steal::start()?;
        std::thread::park_timeout(LOOK);
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Ok(Self {
            processors: std::thread::available_parallelism()?.get(),
            processor: processor(&cpuinfo).unwrap_or("unknown").to_owned(),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            busy_before_percent: look.busy_percent()?,
        })
    }

    /// Whether something else ran: then the floor is too high, and what is compared with it too good.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy_before_percent > BUSY_PERCENT
    }

    /// Its processors' name and count, to go below a plot.
    pub(crate) fn short(&self) -> String {
        format!("{} processors ({}), Linux {}", self.processors, self.processor, self.kernel)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let busy = self.busy_before_percent;
        let verdict =
            if busy > BUSY_PERCENT { ": BUSY, measure again when it is idle" } else { "" };
        write!(
            out,
            "{}; {} build; {busy:.0} % busy before the start{verdict}",
            self.short(),
            self.build
        )
    }
}

/// The first processor's name.
fn processor(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nstepping\t: 0\n";
        assert_eq!(processor(text), Some("AMD EPYC"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
