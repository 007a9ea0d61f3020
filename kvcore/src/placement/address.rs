//! Where a member's peer server is: one `host:port`, or several with commas between.
//!
//! In Kubernetes the first is the IP of the member's pod, which is another with every new pod, and
//! the second its DNS name, which stays. Who connects tries them in their order.

use crate::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX};

/// Stands between two addresses.
const SEPARATOR: char = ',';

/// Why a text does not say where a member is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No address, or none beside a comma.
    #[error("an address is empty: write `host:port`, or several with a comma between each two")]
    Empty,
    /// One that does not end in a port, or has nothing before it.
    #[error("the address `{0}` is no `host:port`; an IPv6 address stands in brackets")]
    Form(String),
    /// One that is longer than any name and port.
    #[error("an address has {0} bytes, at most {ADDRESS_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// More than anybody would try in time.
    #[error("it has {0} addresses, at most {ADDRESSES_MAX} are allowed")]
    TooMany(usize),
}

/// The addresses in a text, in the order in which they are tried.
pub fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(SEPARATOR)
}

/// The same text for people, who may meet it within a list.
pub(super) fn shown(text: &str) -> String {
    text.replace(SEPARATOR, " or ")
}

/// Whether a text says where a member is.
pub(super) fn check(text: &str) -> Result<(), AddressError> {
    let count = addresses(text).count();
    if count > ADDRESSES_MAX {
        return Err(AddressError::TooMany(count));
    }
    addresses(text).try_for_each(check_one)
}

fn check_one(address: &str) -> Result<(), AddressError> {
    if address.is_empty() {
        return Err(AddressError::Empty);
    }
    if address.len() > ADDRESS_BYTES_MAX {
        return Err(AddressError::TooLong(address.len()));
    }
    let is_one = address.rsplit_once(':').is_some_and(|(host, port)| {
        is_host(host) && port.parse::<u16>().is_ok_and(|port| port != 0)
    });
    if is_one {
        Ok(())
    } else {
        Err(AddressError::Form(address.to_owned()))
    }
}

/// Colons belong to an IPv6 address alone, and that stands in brackets.
fn is_host(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let is_plain = |host: &str| {
        let breaks = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']');
        !host.is_empty() && !host.contains(breaks)
    };
    match inner {
        Some(inner) => is_plain(inner),
        None => is_plain(host) && !host.contains(':'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_or_two_in_their_order() {
        for text in [
            "127.0.0.1:7400",
            "a-0.a-servers.ns.svc.cluster.local:7400",
            "[fd00::7]:7400",
            "10.0.0.7:7400,a-0.a-servers.ns.svc:7400",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
        let two: Vec<_> = addresses("10.0.0.7:7400,a-0:7400").collect();
        assert_eq!(two, ["10.0.0.7:7400", "a-0:7400"]);
        assert_eq!(shown("10.0.0.7:7400,a-0:7400"), "10.0.0.7:7400 or a-0:7400");
    }

    #[test]
    fn the_longest_are_taken_and_a_byte_more_is_not() {
        let longest = format!("{:a>1$}:7400", "", ADDRESS_BYTES_MAX - 5);
        let all = [longest.as_str(); ADDRESSES_MAX].join(",");
        assert_eq!(check(&all), Ok(()));
        assert_eq!(all.len(), crate::limits::MEMBER_ADDRESS_BYTES_MAX);
        let longer = Err(AddressError::TooLong(ADDRESS_BYTES_MAX + 1));
        assert_eq!(check(&format!("a{longest}")), longer);
        let more = Err(AddressError::TooMany(ADDRESSES_MAX + 1));
        assert_eq!(check(&format!("{all},a:1")), more);
    }

    #[test]
    fn what_nobody_could_connect_to_is_named() {
        for text in ["", ",", "a:1,", ",a:1"] {
            assert_eq!(check(text), Err(AddressError::Empty), "{text:?}");
        }
        for wrong in [
            "a",
            "a:",
            ":1",
            "a:0",
            "a:65536",
            "a:b",
            "fd00::7:7400",
            "[]:1",
            "[a:1",
            "a b:1",
            "a:1 ",
            " a:1",
        ] {
            let expected = Err(AddressError::Form(wrong.to_owned()));
            assert_eq!(check(wrong), expected);
            assert_eq!(check(&format!("10.0.0.7:7400,{wrong}")), expected);
        }
        let said = AddressError::Form("a".to_owned()).to_string();
        assert!(said.contains("`a` is no `host:port`"), "{said}");
    }
}
