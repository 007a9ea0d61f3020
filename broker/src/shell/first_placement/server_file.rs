//! The server file: which trie servers there are, one `ip port [zone]` a line.

use std::{collections::HashMap, fmt, fs, io, path::Path};

use kvcore::limits::{MEMBERS_MAX, ZONE_BYTES_MAX};

/// Longest host name, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// Where one server listens for peers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    /// An IP address or a host name.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Its failure domain, empty where none is given.
    pub zone: String,
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why a server file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerFileError {
    /// It cannot be read.
    #[error("server file {file}: {error}")]
    Io {
        /// Which file.
        file: String,
        /// What the system says.
        error: io::Error,
    },
    /// One of its lines is wrong.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// Which file.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It names nobody.
    #[error("server file {0} names no server: it has one `ip port` a line")]
    Empty(String),
}

/// Reads a server file.
pub fn read(path: &Path) -> Result<Vec<ServerAddress>, ServerFileError> {
    let file = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| ServerFileError::Io {
        file: file.clone(),
        error,
    })?;
    parse(&file, &String::from_utf8_lossy(&bytes))
}

/// Reads the text of a server file called `file`: one `ip port [zone]` a line, `#` begins a
/// comment, blank lines do not count.
pub fn parse(file: &str, text: &str) -> Result<Vec<ServerAddress>, ServerFileError> {
    let mut servers: Vec<ServerAddress> = Vec::new();
    let mut lines_by_server = HashMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        let wrong = |reason| ServerFileError::Line {
            file: file.to_owned(),
            line,
            reason,
        };
        let Some(server) = parse_line(text).map_err(wrong)? else {
            continue;
        };
        if let Some(first) = lines_by_server.insert((server.host.clone(), server.port), line) {
            return Err(wrong(format!("{server} is already named on line {first}")));
        }
        if servers.len() == MEMBERS_MAX {
            return Err(wrong(format!("more than {MEMBERS_MAX} servers")));
        }
        servers.push(server);
    }
    if servers.is_empty() {
        return Err(ServerFileError::Empty(file.to_owned()));
    }
    Ok(servers)
}

/// `None` for a line that names nobody.
fn parse_line(line: &str) -> Result<Option<ServerAddress>, String> {
    let content = line.split('#').next().unwrap_or_default();
    let mut words = content.trim_start_matches('\u{feff}').split_whitespace();
    let Some(host) = words.next() else {
        return Ok(None);
    };
    let Some(port) = words.next() else {
        return Err(format!("no port after `{host}`: a line is `ip port`"));
    };
    let zone = words.next().unwrap_or_default();
    if let Some(extra) = words.next() {
        return Err(format!("`{extra}` is too much: a line is `ip port [zone]`"));
    }
    let port = match port.parse() {
        Ok(port) if port > 0 => port,
        _ => return Err(format!("`{port}` is no port: ports go from 1 to 65535")),
    };
    if zone.len() > ZONE_BYTES_MAX {
        return Err(format!("a zone's name has at most {ZONE_BYTES_MAX} bytes"));
    }
    let host = host
        .strip_prefix('[')
        .map_or(host, |inner| inner.strip_suffix(']').unwrap_or(host));
    if !is_host(host) {
        return Err(format!("`{host}` is neither an IP address nor a host name"));
    }
    Ok(Some(ServerAddress {
        host: host.to_owned(),
        port,
        zone: zone.to_owned(),
    }))
}

fn is_host(host: &str) -> bool {
    let is_ip = host.parse::<std::net::IpAddr>().is_ok();
    let looks_like_ipv4 = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let belongs = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    is_ip || (host.len() <= HOST_BYTES_MAX && !looks_like_ipv4 && host.bytes().all(belongs))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn error(text: &str) -> String {
        parse("servers.txt", text).unwrap_err().to_string()
    }

    #[test]
    fn comments_blank_lines_zones_and_line_ends() {
        let text = "# ours\r\n127.0.0.1 7400\r\n\r\n  db-1.example 7401 zone-a # first\n::1 7402";
        let servers = parse("servers.txt", text).expect("valid");
        let shown: Vec<_> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:7400", "db-1.example:7401", "[::1]:7402"]);
        assert_eq!(servers[1].zone, "zone-a");
    }

    #[test]
    fn errors_name_file_line_and_what_is_wrong() {
        for (text, expected) in [
            (
                "",
                "server file servers.txt names no server: it has one `ip port` a line",
            ),
            (
                "# none\n",
                "server file servers.txt names no server: it has one `ip port` a line",
            ),
            (
                "\n127.0.0.1",
                "servers.txt:2: no port after `127.0.0.1`: a line is `ip port`",
            ),
            (
                "a 0",
                "servers.txt:1: `0` is no port: ports go from 1 to 65535",
            ),
            (
                "a 65536",
                "servers.txt:1: `65536` is no port: ports go from 1 to 65535",
            ),
            (
                "a b",
                "servers.txt:1: `b` is no port: ports go from 1 to 65535",
            ),
            (
                "a 1 z x",
                "servers.txt:1: `x` is too much: a line is `ip port [zone]`",
            ),
            (
                "a 1\nb 1\na 1 z",
                "servers.txt:3: a:1 is already named on line 1",
            ),
            (
                "1.2.3.256 1",
                "servers.txt:1: `1.2.3.256` is neither an IP address nor a host name",
            ),
            (
                "a/b 1",
                "servers.txt:1: `a/b` is neither an IP address nor a host name",
            ),
        ] {
            assert_eq!(error(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_number_of_servers_is_limited() {
        let mut text = String::new();
        for port in 1..=MEMBERS_MAX + 1 {
            writeln!(text, "h {port}").expect("a string takes everything");
        }
        assert_eq!(error(&text), "servers.txt:1001: more than 1000 servers");
    }
}
