//! The simulator's report in a real browser: it loads, draws, zooms and answers a click, it asks
//! nobody for anything, and it stays usable with a million events.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::browser::Browser;

/// From a folder of a run to the page that is ready, for a million events. It takes two seconds on
/// two quiet processors.
const READY_MILLISECONDS_MAX: f64 = 15_000.0;
/// From one picture to the next while zooming, on average. It takes some 20 on two quiet processors.
const FRAME_MILLISECONDS_MAX: f64 = 250.0;
const EVENTS_MIN: u64 = 1_000_000;
/// Colours that a picture has at least; an empty one has two.
const COLOURS_MIN: u64 = 24;

/// An entry of the made-up run, who led when it was committed, and whose disks made the quorum, in
/// the order in which the leader knew; then who was not waited for.
const COMMITS: [(&str, u64, [&str; 2], &str); 3] = [
    // The nearest zone answers before the far one.
    ("n1", 300, ["n1", "n2"], "n3"),
    // n1 is cut off.
    ("n2", 1_250, ["n2", "n3"], "n1"),
    // The leader's own disk is slow.
    ("n2", 3_500, ["n1", "n3"], "n2"),
];

/// Runs the check; says whether it passed.
pub(crate) fn check(root: &Path) -> bool {
    match run(root) {
        Ok(()) => true,
        Err(message) => {
            eprintln!("report: {message}");
            false
        }
    }
}

fn run(root: &Path) -> Result<(), String> {
    let folder = root.join("target").join("report-in-a-browser");
    // An old profile or an old page must not make a new one look good.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    // First of all, so that a missing browser is told at once.
    let mut browser = Browser::start(&folder)?;
    let usual = make(root, &folder, "failing")?;
    check_page(&mut browser, &usual)?;
    for (leader, entry, quorum, other) in COMMITS {
        check_commit(&mut browser, leader, entry, quorum, other)?;
    }
    check_keys(&mut browser)?;
    quiet(&browser)?;
    let large = make(root, &folder, "large")?;
    check_large(&mut browser, &large)?;
    quiet(&browser)
}

/// Writes a made-up run and its report.
fn make(root: &Path, folder: &Path, shape: &str) -> Result<PathBuf, String> {
    let folder = folder.join(shape);
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let words =
        "run --quiet --locked --profile simulation --package quorate-sim --example report --";
    let status = Command::new(program)
        .args(words.split(' '))
        .arg(&folder)
        .arg(shape)
        .current_dir(root)
        .status()
        .map_err(|error| format!("can't run cargo: {error}"))?;
    if status.success() {
        Ok(folder.join("report.html"))
    } else {
        Err("no report was made".to_owned())
    }
}

/// Opens a report; gives how many milliseconds it took until it was drawn.
fn open(browser: &mut Browser, page: &Path) -> Result<f64, String> {
    let size = json!({"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": false});
    browser.call("Emulation.setDeviceMetricsOverride", size)?;
    browser.open(page)?;
    let ready = "new Promise((ready) => {
        const look = () => document.querySelector('#trouble') ? ready(-1)
            : window.report?.ready ? ready(performance.now()) : setTimeout(look, 10);
        look();
    })";
    let took = number(&browser.value(ready)?, "the page's time")?;
    if took < 0.0 {
        return Err(format!("the page gives up: {:?}", browser.complaints()));
    }
    settle(browser)?;
    Ok(took)
}

/// Waits until what was asked for is drawn.
fn settle(browser: &mut Browser) -> Result<(), String> {
    let frames = "new Promise((done) => {
        const look = () => requestAnimationFrame(() => requestAnimationFrame(
            () => (report.view.glide === null ? done(true) : look())));
        look();
    })";
    browser.value(frames).map(|_| ())
}

fn number(value: &Value, what: &str) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{what} is no number: {value}"))
}

fn demand(holds: bool, message: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message.into()) }
}

fn quiet(browser: &Browser) -> Result<(), String> {
    let complaints = browser.complaints();
    demand(complaints.is_empty(), format!("the browser complains:\n  {}", complaints.join("\n  ")))
}

/// It says the verdict, draws, dark and light and at any width, and zooms.
fn check_page(browser: &mut Browser, page: &Path) -> Result<(), String> {
    open(browser, page)?;
    let verdict = browser.value("document.querySelector('#verdict').textContent")?;
    demand(verdict == "A safety promise is broken", format!("the verdict is {verdict}"))?;
    let command = browser.value("document.querySelector('.command code').textContent")?;
    let seed = command.as_str().is_some_and(|text| text.contains("--seed 17221501019635524208"));
    demand(seed, format!("the command is {command}"))?;
    for scheme in ["dark", "light"] {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        browser.call("Emulation.setEmulatedMedia", json!({"features": features}))?;
        for width in [800, 1920, 1280] {
            let size =
                json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
            browser.call("Emulation.setDeviceMetricsOverride", size)?;
            settle(browser)?;
            let over = browser.value("document.documentElement.scrollWidth - innerWidth")?;
            demand(number(&over, "the width")? <= 0.0, format!("{width} wide, {over} stick out"))?;
            for canvas in ["diagram", "minimap"] {
                check_drawn(browser, canvas)?;
            }
        }
    }
    check_zoom(browser)
}

/// A canvas has many colours.
fn check_drawn(browser: &mut Browser, canvas: &str) -> Result<(), String> {
    let expression = format!(
        "(() => {{
            const canvas = document.getElementById('{canvas}');
            const copy = document.createElement('canvas');
            [copy.width, copy.height] = [canvas.width, canvas.height];
            const context = copy.getContext('2d', {{ willReadFrequently: true }});
            context.drawImage(canvas, 0, 0);
            const {{ data }} = context.getImageData(0, 0, copy.width, copy.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }})()"
    );
    let colours = browser.value(&expression)?;
    let enough = colours.as_u64().is_some_and(|colours| colours >= COLOURS_MIN);
    demand(enough, format!("{canvas} has {colours} colours: nothing is drawn"))
}

/// The wheel makes what is in view shorter, around the cursor, down to microseconds.
fn check_zoom(browser: &mut Browser) -> Result<(), String> {
    let place = browser.value(
        "(() => { const box = document.getElementById('diagram').getBoundingClientRect();
            scrollBy({ top: box.top - 40, behavior: 'instant' });
            return { x: 400, y: 300, time: report.diagram.toTime(400 - box.left) }; })()",
    )?;
    for _ in 0..30 {
        wheel(browser, &place, -260)?;
    }
    settle(browser)?;
    let span = number(&browser.value("report.view.span")?, "the span")?;
    demand(span <= 10_000.0, format!("after zooming in, {span} ns are in view"))?;
    let inside = browser
        .value(&format!("report.view.from <= {0} && {0} <= report.view.to", place["time"]))?;
    demand(inside == true, "zooming in moved what was under the cursor out of view")?;
    // Not one turn more: at the whole run the wheel is the page's, which would scroll.
    for _ in 0..30 {
        if browser.value("report.view.whole")? == true {
            return settle(browser);
        }
        wheel(browser, &place, 260)?;
    }
    Err("zooming out does not come back to the whole run".to_owned())
}

fn wheel(browser: &mut Browser, place: &Value, delta: i32) -> Result<(), String> {
    let wheel = json!({"type": "mouseWheel", "x": place["x"], "y": place["y"], "deltaX": 0,
        "deltaY": delta});
    browser.call("Input.dispatchMouseEvent", wheel).map(|_| ())
}

/// Found by searching, then clicked in the picture: the panel names the acks that made a commit.
fn check_commit(
    browser: &mut Browser,
    leader: &str,
    entry: u64,
    quorum: [&str; 2],
    other: &str,
) -> Result<(), String> {
    browser.value("document.getElementById('search-text').focus(); document.getElementById('search-text').select()")?;
    browser.call("Input.insertText", json!({"text": format!("{leader} commit {entry}")}))?;
    press(browser, "Enter")?;
    settle(browser)?;
    browser.value("document.getElementById('diagram').focus()")?;
    let event = browser.value("report.diagram.story.event")?;
    press(browser, "Escape")?;
    let open = browser.value("report.diagram.story !== null")?;
    demand(open == false, "Escape does not let go of an event")?;
    let place = browser.value(&format!(
        "(() => {{
            const {{ trace, diagram }} = report;
            const canvas = document.getElementById('diagram');
            canvas.scrollIntoView({{ behavior: 'instant' }});
            const box = canvas.getBoundingClientRect();
            const lane = diagram.layout.places.get(trace.lane[{event}]);
            return {{ x: box.left + diagram.toX(trace.time[{event}]), y: box.top + lane.y - 13 }};
        }})()"
    ))?;
    for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
        let mouse = json!({"type": kind, "x": place["x"], "y": place["y"], "button": "left",
            "clickCount": 1});
        browser.call("Input.dispatchMouseEvent", mouse)?;
    }
    settle(browser)?;
    let told = browser.value(
        "({ title: document.querySelector('#panel h3').textContent,
            counted: [...document.querySelectorAll('#panel [data-counted=true]')].map((row) => row.dataset.voter),
            others: [...document.querySelectorAll('#panel [data-counted=false]')].map((row) => row.dataset.voter),
            messages: report.diagram.story?.messages.size ?? 0 })",
    )?;
    let expected = json!({"title": format!("{leader} knows entry {entry} to be committed"),
        "counted": quorum, "others": [other]});
    for field in ["title", "counted", "others"] {
        let message =
            format!("a click on {leader}'s commit of {entry} tells {told}, not {expected}");
        demand(told[field] == expected[field], message)?;
    }
    let messages = told["messages"].as_u64().unwrap_or(0);
    demand(messages >= 3, format!("the commit of {entry} is explained by {messages} messages"))
}

fn press(browser: &mut Browser, key: &str) -> Result<(), String> {
    for kind in ["keyDown", "keyUp"] {
        let mut event = json!({"type": kind, "key": key, "code": key});
        if key == "Enter" {
            event["text"] = json!("\r");
        }
        browser.call("Input.dispatchKeyEvent", event)?;
    }
    Ok(())
}

/// Keys move the view.
fn check_keys(browser: &mut Browser) -> Result<(), String> {
    browser.value("document.getElementById('diagram').focus()")?;
    for (key, holds) in [
        ("0", "report.view.whole"),
        ("+", "report.view.span < report.view.duration * 0.6"),
        ("Home", "report.view.from === 0"),
        ("ArrowRight", "report.view.from > 0"),
        ("End", "report.view.to === report.view.duration"),
    ] {
        press(browser, key)?;
        settle(browser)?;
        let answer = browser.value(holds)?;
        demand(answer == true, format!("after the key {key} it is not so: {holds}"))?;
    }
    Ok(())
}

/// Where messages are too many for lines, the mouse tells how many of which kind pass.
fn check_ribbon(browser: &mut Browser) -> Result<(), String> {
    let place = browser.value(
        "(() => {
            const canvas = document.getElementById('diagram');
            canvas.scrollIntoView({ behavior: 'instant' });
            const box = canvas.getBoundingClientRect();
            const { diagram, trace } = report;
            // The shortest one is not covered by others.
            const ribbons = [...diagram.hits.ribbons];
            ribbons.sort((one, other) => (one.bottom - one.top) - (other.bottom - other.top));
            const { one, other, top, bottom, counts } = ribbons[0];
            for (let column = 0; column < counts.length; column++) {
                const x = diagram.toX(diagram.view.from) + column * 3 + 1;
                for (let y = top + 2; y < bottom; y += 4) {
                    if (counts[column] > 0 && diagram.eventAt(x, y) < 0) {
                        const names = [trace.laneName(one), trace.laneName(other)];
                        return { x: box.left + x, y: box.top + y, told: `${names[0]} → ${names[1]}: ` };
                    }
                }
            }
            return null;
        })()",
    )?;
    demand(!place.is_null(), "there is no ribbon with room for the mouse")?;
    let mouse = json!({"type": "mouseMoved", "x": place["x"], "y": place["y"]});
    browser.call("Input.dispatchMouseEvent", mouse)?;
    settle(browser)?;
    let tip = browser.value(
        "(({ hidden, innerText }) => hidden ? '' : innerText)(document.getElementById('tip'))",
    )?;
    let expected = place["told"].as_str().expect("it is put together as a text");
    let told = tip.as_str().is_some_and(|tip| tip.contains(expected));
    demand(told, format!("the mouse on a ribbon is told {tip}, and not {expected}"))
}

/// A million events: ready soon, and drawn quickly at any zoom.
fn check_large(browser: &mut Browser, page: &Path) -> Result<(), String> {
    let ready = open(browser, page)?;
    let count = browser.value("report.trace.count")?;
    let enough = count.as_u64().is_some_and(|count| count >= EVENTS_MIN);
    demand(enough, format!("the large run has {count} events"))?;
    check_drawn(browser, "diagram")?;
    check_ribbon(browser)?;
    let frames = browser.value(
        "new Promise((done) => {
            const start = performance.now();
            let frames = 0;
            const step = () => {
                if (frames === 40) return done((performance.now() - start) / frames);
                report.view.zoom(frames < 20 ? 0.55 : 1 / 0.55, report.view.duration * 0.4);
                frames++;
                requestAnimationFrame(step);
            };
            step();
        })",
    )?;
    let frame = number(&frames, "the time of a frame")?;
    let choose = browser.value(
        "(() => { const commits = report.trace.of(report.trace.nodes[1], 'commit');
            const start = performance.now();
            report.diagram.choose(commits[commits.length - 9]);
            return performance.now() - start; })()",
    )?;
    let choose = number(&choose, "the time of a choice")?;
    settle(browser)?;
    println!(
        "report: {count} events are ready after {ready:.0} ms, a frame takes {frame:.0} ms, a click \
         {choose:.0} ms"
    );
    demand(ready <= READY_MILLISECONDS_MAX, "that is too long to wait")?;
    demand(frame <= FRAME_MILLISECONDS_MAX, "that is too slow to zoom")?;
    demand(choose <= FRAME_MILLISECONDS_MAX * 4.0, "that is too slow to click")
}
