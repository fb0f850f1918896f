//! Checks of the machine that need no disk: UDP, clock, free space.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use quinn::udp::UdpSocketState;
use quorate_storage::disk::probe::space;

use super::Check;

/// A burst of one round trip: below this the kernel drops packets that a node could take.
const SOCKET_BUFFER_BYTES: usize = 2 << 20;
/// Room for two segments, an index merge and then some.
const FREE_BYTES_WARN: u64 = 10 << 30;
/// One segment and its spare don't fit.
const FREE_BYTES_FAIL: u64 = 256 << 20;
/// 2026-01-01: an earlier clock was never set.
const CLOCK_EARLIEST_SECONDS: u64 = 1_767_225_600;
/// Clock sources that are read without asking the hypervisor.
const FAST_CLOCKS: [&str; 4] =
    ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

/// Whether the kernel lets a socket have enough buffer.
pub(super) fn udp_buffers() -> Check {
    let buffers = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| {
        let state = UdpSocketState::new((&socket).into())?;
        state.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES)?;
        state.set_send_buffer_size((&socket).into(), SOCKET_BUFFER_BYTES)?;
        let receive = state.recv_buffer_size((&socket).into())?;
        Ok((receive, state.send_buffer_size((&socket).into())?))
    });
    match buffers {
        Ok((receive, send)) => judge_udp_buffers(receive, send),
        Err(error) => no_socket("udp_buffers", &error),
    }
}

fn judge_udp_buffers(receive: usize, send: usize) -> Check {
    let kibibytes = |bytes: usize| bytes >> 10;
    let found = format!("{} KiB to receive, {} KiB to send", kibibytes(receive), kibibytes(send));
    if receive.min(send) >= SOCKET_BUFFER_BYTES {
        return Check::ok("udp_buffers", found);
    }
    let mend = format!(
        "sysctl -w net.core.rmem_max={SOCKET_BUFFER_BYTES} net.core.wmem_max={SOCKET_BUFFER_BYTES}"
    );
    Check::warn("udp_buffers", format!("{found}: a burst of packets may be lost"), &mend)
}

fn no_socket(name: &'static str, error: &io::Error) -> Check {
    let mend = "allow UDP sockets in this container or sandbox";
    Check::fail(name, format!("can't open a UDP socket: {error}"), mend)
}

/// Whether many packets can be sent with one system call.
pub(super) fn udp_offload() -> Check {
    let state = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|socket| UdpSocketState::new((&socket).into()));
    match state {
        Ok(state) if state.max_gso_segments() > 1 => {
            let (send, receive) = (state.max_gso_segments(), state.gro_segments());
            Check::ok("udp_gso", format!("{send} packets a send (GSO), {receive} a receive (GRO)"))
        }
        Ok(_) => Check::warn(
            "udp_gso",
            "the kernel sends one packet at a time: more CPU for the same load",
            "use Linux 4.18 or newer; some containers and network drivers switch it off",
        ),
        Err(error) => no_socket("udp_gso", &error),
    }
}

/// Whether the clock is set, and cheap to read.
pub(super) fn clock() -> Check {
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = fs::read_to_string(source).map(|text| text.trim().to_owned()).ok();
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    judge_clock(wall, source.as_deref(), nanos_per_read())
}

fn nanos_per_read() -> u64 {
    const READS: u32 = 10_000;
    let start = Instant::now();
    let last = (0..READS).fold(start, |_, _| Instant::now());
    last.duration_since(start).as_nanos() as u64 / u64::from(READS)
}

fn judge_clock(wall_seconds: u64, source: Option<&str>, read_nanos: u64) -> Check {
    let source = source.unwrap_or("unknown");
    let found = format!("source {source}, {read_nanos} ns to read it");
    if wall_seconds < CLOCK_EARLIEST_SECONDS {
        return Check::fail(
            "clock",
            "the clock stands before 2026: events get wrong times and certificates look invalid",
            "set it, and start a time service: timedatectl set-ntp true",
        );
    }
    if FAST_CLOCKS.contains(&source) || read_nanos < 200 {
        return Check::ok("clock", found);
    }
    Check::warn(
        "clock",
        format!("{found}: slow"),
        "boot with clocksource=tsc where the machine has a steady TSC",
    )
}

/// Whether the data will fit.
pub(super) fn free_space(folder: &Path) -> Check {
    match space(folder) {
        Ok(space) => judge_free_space(folder, space.free_bytes, space.bytes),
        Err(error) => Check::fail("free_space", error.to_string(), "look at the disk"),
    }
}

fn judge_free_space(folder: &Path, free: u64, total: u64) -> Check {
    let gibibytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    let found = format!(
        "{:.1} GiB of {:.1} GiB at {}",
        gibibytes(free),
        gibibytes(total),
        folder.display()
    );
    let mend = "make room, or choose another folder with --data";
    match free {
        ..FREE_BYTES_FAIL => Check::fail("free_space", found, mend),
        FREE_BYTES_FAIL..FREE_BYTES_WARN => Check::warn("free_space", found, mend),
        FREE_BYTES_WARN.. => Check::ok("free_space", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{self, Fail, Ok as Fine, Warn};
    use super::*;

    #[test]
    fn udp_buffers_need_two_mebibytes_each() {
        let check = |receive, send, verdict: Verdict| {
            assert_eq!(judge_udp_buffers(receive, send).verdict, verdict);
        };
        check(2 << 20, 4 << 20, Fine);
        check(425_984, 2 << 20, Warn);
        check(2 << 20, 425_984, Warn);
    }

    #[test]
    fn clocks() {
        let check = |wall, source, nanos, verdict: Verdict| {
            assert_eq!(judge_clock(wall, source, nanos).verdict, verdict, "{source:?}");
        };
        check(CLOCK_EARLIEST_SECONDS, Some("tsc"), 900, Fine);
        check(CLOCK_EARLIEST_SECONDS, Some("hpet"), 900, Warn);
        check(CLOCK_EARLIEST_SECONDS, None, 30, Fine);
        check(CLOCK_EARLIEST_SECONDS - 1, Some("tsc"), 30, Fail);
    }

    #[test]
    fn free_space_by_what_a_node_needs() {
        let check = |free, verdict: Verdict| {
            assert_eq!(judge_free_space(Path::new("/data"), free, 1 << 40).verdict, verdict);
        };
        check(FREE_BYTES_WARN, Fine);
        check(FREE_BYTES_WARN - 1, Warn);
        check(FREE_BYTES_FAIL, Warn);
        check(FREE_BYTES_FAIL - 1, Fail);
    }
}
