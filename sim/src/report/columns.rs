//! A trace as columns: what one event has in common with the one before it costs a byte.
//!
//! All numbers are variable-length, seven bits a byte, low ones first; those that can go either way
//! have their sign in the lowest bit. `sim/report/unpack.js` is the other side.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::patterns::Patterns;
use super::reading::{self, Fault, Header, Line};

/// Names of the columns, in the order in which they stand behind each other.
const COLUMNS: [&str; 9] = ["time", "kind", "lane", "number", "back", "name", "to", "call", "text"];
/// Kinds of event, by their number in the column.
const KINDS: [&str; 12] = [
    "send", "recv", "drop", "role", "durable", "commit", "truncate", "call", "answer", "fault",
    "heal", "note",
];
/// Has no number of its own to compare with: the thirteenth kind.
const VIOLATION: &str = "violation";
/// A byte names the lane, and zero stands for none.
const LANES_MAX: usize = 250;

/// What the page unpacks.
pub(super) struct Packed {
    /// Names, lanes, lists that the columns point into.
    pub(super) header: Value,
    /// All columns, one behind the other.
    pub(super) bytes: Vec<u8>,
}

/// Reads a whole trace and packs it.
pub(super) fn pack(text: &str) -> Result<Packed, Fault> {
    let (header, lines) = reading::trace(text)?;
    if header.lanes.len() > LANES_MAX {
        let reason = format!("{} lanes; a report has at most {LANES_MAX}", header.lanes.len());
        return Err(Fault { line: 1, reason });
    }
    let mut events = Vec::new();
    for (number, line) in lines {
        events.push((number, reading::parse::<Line>(number, line)?));
    }
    // By time already, as a rule; what has the same time keeps its order.
    events.sort_by_key(|(_, event)| event.time_ns);
    let mut packer = Packer::new(&header);
    for (place, (line, event)) in events.iter().enumerate() {
        packer.push(place, event).map_err(|reason| Fault { line: *line, reason })?;
    }
    Ok(packer.finish(&header, events.len()))
}

struct Packer<'a> {
    lanes: BTreeMap<&'a str, u64>,
    columns: [Vec<u8>; COLUMNS.len()],
    names: Names,
    patterns: Patterns,
    faults: Vec<Value>,
    last_time_ns: u64,
    /// The last number of each kind in each lane.
    last_numbers: BTreeMap<(u64, u64), u64>,
    /// Where messages were sent, calls were made, and faults began.
    sends: BTreeMap<u64, usize>,
    calls: BTreeMap<u64, usize>,
    begins: BTreeMap<u64, usize>,
}

impl<'a> Packer<'a> {
    fn new(header: &'a Header) -> Self {
        let lanes = header.lanes.iter().zip(1..).map(|(lane, place)| (lane.name.as_str(), place));
        Self {
            lanes: lanes.collect(),
            columns: Default::default(),
            names: Names::default(),
            patterns: Patterns::default(),
            faults: Vec::new(),
            last_time_ns: 0,
            last_numbers: BTreeMap::new(),
            sends: BTreeMap::new(),
            calls: BTreeMap::new(),
            begins: BTreeMap::new(),
        }
    }

    /// Adds one event; the error says what is wrong with it.
    fn push(&mut self, place: usize, event: &Line) -> Result<(), String> {
        let kind = kind_number(&event.kind)?;
        let lane = match &event.lane {
            Some(lane) => self.lane(lane)?,
            None if matches!(event.kind.as_str(), "fault" | "heal" | "note" | VIOLATION) => 0,
            None => return Err(format!("{} without a lane (l)", event.kind)),
        };
        self.write(0, event.time_ns - self.last_time_ns);
        self.last_time_ns = event.time_ns;
        self.write(1, kind);
        self.write(2, lane);
        let number = own_number(event)?;
        if let Some(number) = number {
            let last = self.last_numbers.insert((kind, lane), number).unwrap_or(0);
            self.write_signed(3, number.cast_signed() - last.cast_signed());
        }
        self.write_links(place, event)?;
        if let Some(name) = own_name(event) {
            let name = self.names.place(name);
            self.write(5, name);
        }
        match event.text.as_deref().filter(|text| !text.is_empty()) {
            None => self.write(8, 0),
            Some(text) => {
                let (pattern, differences) = self.patterns.differences(text);
                self.write(8, pattern as u64 + 1);
                for difference in differences {
                    self.write_signed(8, difference);
                }
            }
        }
        Ok(())
    }

    /// Which event an event goes back to: an arrival to the sending, an answer to its call. Where
    /// that is not in the trace, nothing is lost but the link.
    fn write_links(&mut self, place: usize, event: &Line) -> Result<(), String> {
        let back = |starts: &BTreeMap<u64, usize>, number: Option<u64>| {
            number.and_then(|number| starts.get(&number)).map_or(0, |start| (place - start) as u64)
        };
        match event.kind.as_str() {
            "send" => {
                let to = event.to.as_deref().ok_or("send without a receiver (to)")?;
                let to = self.lane(to)?;
                self.write(6, to);
                let call = back(&self.calls, event.call);
                self.write(7, call);
                self.sends.insert(event.message.unwrap_or_default(), place);
            }
            "recv" | "drop" => {
                let back = back(&self.sends, event.message);
                self.write(4, back);
            }
            "call" => {
                self.calls.insert(event.call.unwrap_or_default(), place);
            }
            "answer" => {
                let back = back(&self.calls, event.call);
                self.write(4, back);
            }
            "fault" => {
                let number = event.fault.unwrap_or_default();
                self.begins.insert(number, place);
                let lanes: Result<Vec<u64>, String> =
                    event.lanes.iter().map(|lane| Ok(self.lane(lane)? - 1)).collect();
                self.faults.push(json!({"event": place, "lanes": lanes?, "until": event.until_ns}));
            }
            "heal" => {
                let back = back(&self.begins, event.fault);
                self.write(4, back);
            }
            _ => {}
        }
        Ok(())
    }

    fn lane(&self, name: &str) -> Result<u64, String> {
        let lane = self.lanes.get(name).copied();
        lane.ok_or_else(|| format!("the header has no lane called {name}"))
    }

    fn write(&mut self, column: usize, mut value: u64) {
        let bytes = &mut self.columns[column];
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }

    fn write_signed(&mut self, column: usize, value: i64) {
        self.write(column, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn finish(self, header: &Header, count: usize) -> Packed {
        let lanes: Vec<Value> = header
            .lanes
            .iter()
            .map(|lane| json!({"name": lane.name, "kind": lane.kind, "zone": lane.zone}))
            .collect();
        let columns: Vec<Value> = COLUMNS
            .iter()
            .zip(&self.columns)
            .map(|(name, bytes)| json!({"name": name, "bytes": bytes.len()}))
            .collect();
        let kinds: Vec<&str> = KINDS.into_iter().chain([VIOLATION]).collect();
        let header = json!({
            "name": header.name,
            "seed": header.seed.to_string(),
            "tier": header.tier,
            "resolution_ns": header.resolution_ns,
            "duration": header.duration_ns,
            "count": count,
            "lanes": lanes,
            "kinds": kinds,
            "names": self.names.list,
            "patterns": self.patterns.list(),
            "faults": self.faults,
            "columns": columns,
        });
        Packed { header, bytes: self.columns.concat() }
    }
}

/// Short names: each is stored once.
#[derive(Default)]
struct Names {
    places: BTreeMap<String, u64>,
    list: Vec<String>,
}

impl Names {
    fn place(&mut self, name: &str) -> u64 {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        let place = self.list.len() as u64;
        self.places.insert(name.to_owned(), place);
        self.list.push(name.to_owned());
        place
    }
}

fn kind_number(kind: &str) -> Result<u64, String> {
    let known = KINDS.iter().chain([&VIOLATION]).position(|known| *known == kind);
    known.map(|place| place as u64).ok_or_else(|| format!("no event is called {kind}"))
}

/// The number that an event is about; a script counts up to 2^53.
fn own_number(event: &Line) -> Result<Option<u64>, String> {
    let (number, field) = match event.kind.as_str() {
        "send" => (event.message, "m"),
        "role" => (Some(event.epoch.unwrap_or_default()), "epoch"),
        "durable" | "commit" | "truncate" => (event.entry, "i"),
        "call" => (event.call, "c"),
        // Zero stands for an answer that names no entry.
        "answer" => (Some(event.entry.unwrap_or_default()), "i"),
        "fault" | "heal" => (event.fault, "f"),
        _ => return Ok(None),
    };
    match number {
        Some(number) if number < 1 << 53 => Ok(Some(number)),
        Some(number) => Err(format!("{number} is too large for {field}")),
        None => Err(format!("{} without its number ({field})", event.kind)),
    }
}

/// The name that an event has besides its kind.
fn own_name(event: &Line) -> Option<&str> {
    let name = match event.kind.as_str() {
        "send" | "fault" => &event.name,
        "drop" => &event.why,
        "role" => &event.role,
        "call" => &event.operation,
        "answer" => &event.outcome,
        _ => return None,
    };
    Some(name.as_deref().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"schema":1,"name":"x","seed":7,"tier":"pure","resolution_ns":1,"duration_ns":9,
        "lanes":[{"name":"n1","kind":"node","zone":"z1"},{"name":"n2","kind":"node","zone":"z2"}]}"#;

    fn header() -> String {
        HEADER.replace('\n', "")
    }

    #[track_caller]
    fn check_fault(lines: &str, line: usize, part: &str) {
        let fault = pack(&format!("{}\n{lines}", header())).err().expect("this must be refused");
        assert!(fault.reason.contains(part), "{}", fault.reason);
        assert_eq!(fault.line, line);
    }

    #[test]
    fn a_message_costs_a_few_bytes() {
        let trace = format!(
            "{}\n{}\n{}\n{}\n",
            header(),
            r#"{"t":1,"k":"send","l":"n1","to":"n2","m":17,"kind":"append","d":"entry 5"}"#,
            r#"{"t":3,"k":"recv","l":"n2","m":17}"#,
            r#"{"t":3,"k":"durable","l":"n2","i":5}"#,
        );
        let packed = pack(&trace).expect("a good trace");
        // Times, kinds, lanes, numbers, the way back, the name, the receiver, no call, texts.
        let expected = [
            &[1, 2, 0][..],
            &[0, 1, 4],
            &[1, 2, 2],
            &[34, 10],
            &[1],
            &[0],
            &[2],
            &[0],
            &[1, 10, 0, 0],
        ];
        assert_eq!(packed.bytes, expected.concat());
        assert_eq!(packed.header["patterns"], json!(["entry \u{1}"]));
        assert_eq!(packed.header["count"], 3);
    }

    #[test]
    fn events_are_sorted_by_time() {
        let late = r#"{"t":5,"k":"note","d":"late"}"#;
        let early = r#"{"t":2,"k":"note","d":"early"}"#;
        let packed = pack(&format!("{}\n{late}\n{early}", header())).expect("a good trace");
        assert_eq!(packed.header["patterns"], json!(["early", "late"]));
        assert_eq!(packed.bytes[..2], [2, 3]);
    }

    #[test]
    fn numbers_of_many_bits_are_written_low_bits_first() {
        let header: Header = reading::parse(1, &header()).expect("a good header");
        let mut packer = Packer::new(&header);
        packer.write(0, 300);
        packer.write_signed(1, -1);
        packer.write_signed(1, 64);
        assert_eq!(packer.columns[0], [0xac, 0x02]);
        assert_eq!(packer.columns[1], [0x01, 0x80, 0x01]);
    }

    #[test]
    fn faults_name_the_line() {
        check_fault("\n\n{", 4, "EOF");
        check_fault(r#"{"t":1,"k":"sent","l":"n1"}"#, 2, "no event is called sent");
        check_fault(r#"{"t":1,"k":"durable","l":"n9","i":1}"#, 2, "no lane called n9");
        check_fault(r#"{"t":1,"k":"durable","l":"n1"}"#, 2, "durable without its number (i)");
        check_fault(r#"{"t":1,"k":"send","l":"n1","m":1}"#, 2, "send without a receiver");
        check_fault(r#"{"t":1,"k":"recv","m":1}"#, 2, "recv without a lane");
        let huge = r#"{"t":1,"k":"commit","l":"n1","i":9007199254740992}"#;
        check_fault(huge, 2, "is too large for i");
    }

    #[test]
    fn another_format_is_refused() {
        let other = header().replace("\"schema\":1", "\"schema\":2");
        let fault = pack(&other).err().expect("this must be refused");
        assert_eq!(fault.reason, "schema 2; this report knows 1");
        assert_eq!(pack("").err().map(|fault| fault.line), Some(1));
    }
}
