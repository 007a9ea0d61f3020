//! Amounts as Kubernetes writes them: `10Gi`, `500m`, `1.5`, `2e9`.
//!
//! The API server rewrites an amount in its shortest form, so two texts are compared by value.

/// Thousandths: the finest that Kubernetes keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

const THOUSANDTHS: i128 = 1000;

impl Amount {
    /// Reads an amount; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let value = decimal(number)?;
        let scaled = match scale(suffix)? {
            Scale::Times(factor) => value.checked_mul(factor)?,
            Scale::Thousandth => div_up(value, THOUSANDTHS),
        };
        Some(Self(scaled))
    }

    /// The amount in whole units, rounded up; `None` where it is negative or too large.
    pub fn units(self) -> Option<u64> {
        u64::try_from(div_up(self.0, THOUSANDTHS)).ok()
    }
}

enum Scale {
    Times(i128),
    Thousandth,
}

fn scale(suffix: &str) -> Option<Scale> {
    let factor = match suffix {
        "m" => return Some(Scale::Thousandth),
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        _ => {
            let exponent: u32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            10_i128.checked_pow(exponent)?
        }
    };
    Some(Scale::Times(factor))
}

/// A decimal number in thousandths; further digits round up.
fn decimal(text: &str) -> Option<i128> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || whole.len() > 20 || fraction.len() > 20 {
        return None;
    }
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let kept: i128 = format!("{:0<3}", &fraction[..fraction.len().min(3)])
        .parse()
        .ok()?;
    let more = fraction.bytes().skip(3).any(|byte| byte != b'0');
    Some(sign * (whole * THOUSANDTHS + kept + i128::from(more)))
}

fn div_up(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_amount_is_equal_however_it_is_written() {
        for (a, b) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            ("1Gi", "1024Mi"),
            ("1.5Gi", "1536Mi"),
            ("2e3", "2k"),
            ("1", "1.000"),
            (".5", "500m"),
        ] {
            assert_eq!(Amount::parse(a), Amount::parse(b), "{a} and {b}");
            assert!(Amount::parse(a).is_some(), "{a}");
        }
        assert!(Amount::parse("1Gi") < Amount::parse("1.1Gi"));
        assert!(Amount::parse("1G") < Amount::parse("1Gi"));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "", "Gi", "1 Gi", "1gi", "1,5", "--1", "1e", "1.2.3", "1e999", "0x10", "1-2",
        ] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn units_round_up() {
        assert_eq!(Amount::parse("1500m").and_then(Amount::units), Some(2));
        assert_eq!(
            Amount::parse("10Gi").and_then(Amount::units),
            Some(10 << 30)
        );
        assert_eq!(Amount::parse("-1").and_then(Amount::units), None);
    }
}
