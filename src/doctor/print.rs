//! The findings as text for a terminal: what is wrong first in each part, then what is known.
use serde_json::Value;
use std::fmt::Write as _;

/// Past sessions that are printed; the page has all.
const MAX_PAST: usize = 10;

/// The whole report of the relay at `address`.
pub fn report(found: &Value, address: impl std::fmt::Display) -> String {
    let mut text = String::new();
    let machine = &found["machine"];
    let version = word(&found["version"]);
    line(&mut text, 0, &format!("Porthole {version} at {address}, running for {}", span(&machine["uptime_s"], 1000)));
    of_machine(&mut text, machine);
    section(&mut text, "Streams", &found["streams"], usize::MAX, of_stream);
    section(&mut text, "Sessions", &found["sessions"], usize::MAX, of_session);
    section(&mut text, "Ended sessions and refused offers", &found["past"], MAX_PAST, of_session);
    section(&mut text, "Turned away", &found["refused"], usize::MAX, of_refused);
    let findings = found["findings"].as_u64().unwrap_or(0);
    text.push('\n');
    line(
        &mut text,
        0,
        &match findings {
            0 => "Nothing is wrong.".to_owned(),
            1 => "1 finding.".to_owned(),
            n => format!("{n} findings."),
        },
    );
    text
}

fn of_machine(text: &mut String, machine: &Value) {
    heading(text, "Machine");
    line(text, 1, &format!("listens at      {}", words(&machine["listen"], "nothing")));
    let advertised = &machine["advertised"];
    line(text, 1, &format!("advertises      {}", words(&advertised["candidates"], "nothing")));
    for address in items(&advertised["addresses"]) {
        let (ip, interface) = (word(&address["ip"]), word(&address["interface"]));
        let why = match address["setting"].as_str() {
            Some(setting) => plain(setting),
            None => word(&address["removed_by"]),
        };
        if address["advertised"] == false {
            line(text, 1, &format!("not {ip} on {interface}: {why}"));
        }
    }
    let (count, most) = (&machine["sessions"], &machine["max_sessions"]);
    line(text, 1, &format!("sessions        {count} of at most {most}"));
    for problem in items(&machine["problems"]) {
        line(text, 1, &format!("problem: {}", word(problem)));
    }
    for verdict in items(&machine["verdicts"]) {
        of_verdict(text, verdict);
    }
}

fn of_stream(text: &mut String, stream: &Value) {
    let video = stream["video"].as_str().map(|codec| format!(", {}", plain(codec))).unwrap_or_default();
    let viewers = &stream["viewers"];
    line(text, 1, &format!("{}: {}{video}, viewers: {viewers}", word(&stream["name"]), word(&stream["state"])));
    of_verdict(text, &stream["verdict"]);
}

fn of_session(text: &mut String, session: &Value) {
    let role = if session["publishes"] == true { "publisher" } else { "viewer" };
    let ago = session["ago_ms"].as_u64().map(|_| format!(", {} ago", span(&session["ago_ms"], 1))).unwrap_or_default();
    let times =
        session["times"].as_u64().filter(|times| *times > 1).map(|n| format!(", {n} times")).unwrap_or_default();
    line(
        text,
        1,
        &format!(
            "{role} of {} from {}: {}{ago}{times}",
            word(&session["stream"]["name"]),
            word(&session["from"]),
            word(&session["phase"])
        ),
    );
    if session["refusal"].is_null() {
        let (ice, dtls) = (&session["ice"], &session["dtls"]);
        let arrivals: Vec<String> =
            items(&ice["arrivals"]).map(|a| format!("{} at {}", a["requests"], word(&a["local"]))).collect();
        let arrived = if arrivals.is_empty() { "none".to_owned() } else { arrivals.join(", ") };
        line(text, 2, &format!("requests that came   {arrived}"));
        line(text, 2, &format!("our checks           {} sent, {} answered", ice["checks"], ice["answers"]));
        for pair in items(&ice["pairs"]).filter(|pair| pair["selected"] == true) {
            let (local, remote) = (word(&pair["local"]), word(&pair["remote"]));
            line(
                text,
                2,
                &format!("way                  {local} to {remote}, {} round trip", span(&pair["rtt_ms"], 1)),
            );
        }
        if dtls["began_ms"].is_u64() {
            let took = if dtls["took_ms"].is_u64() {
                format!("done in {}", span(&dtls["took_ms"], 1))
            } else {
                "not done".into()
            };
            line(
                text,
                2,
                &format!("handshake            {took}, {} packets out, {} in", dtls["sent"], dtls["received"]),
            );
        }
        for media in items(&session["media"]) {
            line(
                text,
                2,
                &format!(
                    "{:<20} {}, {} packets, {:.1} % lost, keyframe {} ago",
                    word(&media["kind"]),
                    media["codec"].as_str().map_or("no common codec".to_owned(), plain),
                    media["packets"],
                    media["loss_percent"].as_f64().unwrap_or(0.0),
                    span(&media["track"]["last_keyframe_ms"], 1),
                ),
            );
        }
    }
    if let Some(reason) = session["reason"].as_str() {
        line(text, 2, &format!("end                  {}", plain(reason)));
    }
    of_verdict(text, &session["verdict"]);
}

fn of_refused(text: &mut String, refused: &Value) {
    let (kind, name) = (word(&refused["kind"]), word(&refused["name"]));
    line(text, 1, &format!("{kind} {name}, {}, {} ago", times(&refused["times"]), span(&refused["ago_ms"], 1)));
    of_verdict(text, &refused["verdict"]);
}

fn of_verdict(text: &mut String, verdict: &Value) {
    if verdict.is_object() {
        line(text, 2, &format!("{}: {}", word(&verdict["code"]), word(&verdict["sentence"])));
        line(text, 2, &format!("     {}", word(&verdict["remedy"])));
    }
}

fn section(text: &mut String, name: &str, list: &Value, most: usize, show: fn(&mut String, &Value)) {
    let all = items(list).count();
    if all == 0 {
        return;
    }
    heading(text, name);
    items(list).take(most).for_each(|item| show(text, item));
    if all > most {
        line(text, 1, &format!("and {} more, see the page /doctor.html", all - most));
    }
}

fn heading(text: &mut String, name: &str) {
    text.push('\n');
    line(text, 0, name);
}

fn line(text: &mut String, depth: usize, words: &str) {
    let _ = writeln!(text, "{:indent$}{words}", "", indent = depth * 2);
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    value.as_str().map(plain).unwrap_or_else(|| "?".to_owned())
}

fn words(list: &Value, none: &str) -> String {
    let all: Vec<String> = items(list).map(word).collect();
    if all.is_empty() { none.to_owned() } else { all.join(", ") }
}

/// A text that came over the network, without anything that moves a terminal's cursor or turns its text around.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| {
        !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if harmless(c) { c } else { '?' }).collect()
}

fn times(value: &Value) -> String {
    match value.as_u64() {
        Some(1) => "once".into(),
        _ => format!("{value} times"),
    }
}

/// A time in words; `unit` is the milliseconds of one.
fn span(value: &Value, unit: u64) -> String {
    match value.as_u64().map(|n| n.saturating_mul(unit)) {
        None => "unknown time".into(),
        Some(ms @ 0..1_000) => format!("{ms} ms"),
        Some(ms @ 1_000..120_000) => format!("{} s", ms / 1_000),
        Some(ms @ 120_000..7_200_000) => format!("{} min", ms / 60_000),
        Some(ms) => format!("{} h", ms / 3_600_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_shows_what_is_wrong_and_moves_no_cursor() {
        let verdict = json!({"code": "D01", "sentence": "Nothing arrived.", "remedy": "Open the port."});
        let found = json!({
            "version": "1", "findings": 1,
            "machine": {"uptime_s": 300, "listen": ["udp 0.0.0.0:8555"], "sessions": 1, "max_sessions": 16,
                "advertised": {"candidates": [], "addresses": [
                    {"ip": "10.0.0.1", "interface": "eth0", "advertised": false, "setting": "webrtc.filters.ips"}]}},
            "sessions": [{"stream": {"name": "a\u{1b}[2J"}, "from": "10.0.0.9:1", "phase": "checking", "verdict": verdict}],
        });
        let text = report(&found, "x:1");
        for part in [
            "5 min",
            "not 10.0.0.1 on eth0: webrtc.filters.ips",
            "D01: Nothing arrived.",
            "Open the port.",
            "1 finding.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn an_answer_of_another_shape_is_no_reason_to_fail() {
        assert!(report(&json!({"machine": {}, "sessions": 5, "past": [1, null]}), "x:1").contains("Machine"));
    }
}
