//! Amounts as Kubernetes writes them: `10Gi`, `500m`, `1.5`, `2e9`.
//!
//! The API server rewrites an amount in its shortest form, so two texts are compared by value.

/// Billionths: the finest that Kubernetes keeps, what is finer is rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i128);

const BILLIONTHS: i128 = 1_000_000_000;

/// Most digits of a number.
const DIGITS_MAX: usize = 20;

impl Amount {
    /// Reads an amount; `None` where it is none, or beyond what is counted here.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-'))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let number = Decimal::parse(number)?;
        let scale = Scale::parse(suffix)?;
        let value = number.digits.checked_mul(scale.factor)?;
        let tenths = number.tenths + scale.tenths;
        let kept = BILLIONTHS.ilog10();
        let amount = if tenths <= kept {
            value.checked_mul(10_i128.checked_pow(kept - tenths)?)?
        } else {
            div_up(value, 10_i128.checked_pow(tenths - kept)?)
        };
        Some(Self(amount))
    }

    /// The amount in whole units, rounded up; `None` where it is negative or too large.
    pub fn units(self) -> Option<u64> {
        u64::try_from(div_up(self.0, BILLIONTHS)).ok()
    }
}

/// What a suffix multiplies by: `factor / 10^tenths`.
struct Scale {
    factor: i128,
    tenths: u32,
}

impl Scale {
    fn parse(suffix: &str) -> Option<Self> {
        let (factor, tenths) = match suffix {
            "n" => (1, 9),
            "u" => (1, 6),
            "m" => (1, 3),
            "" => (1, 0),
            "k" => (1_000, 0),
            "M" => (1_000_000, 0),
            "G" => (1_000_000_000, 0),
            "T" => (1_000_000_000_000, 0),
            "P" => (1_000_000_000_000_000, 0),
            "E" => (1_000_000_000_000_000_000, 0),
            "Ki" => (1 << 10, 0),
            "Mi" => (1 << 20, 0),
            "Gi" => (1 << 30, 0),
            "Ti" => (1 << 40, 0),
            "Pi" => (1 << 50, 0),
            "Ei" => (1 << 60, 0),
            _ => {
                let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
                if exponent < 0 {
                    (1, exponent.unsigned_abs())
                } else {
                    (10_i128.checked_pow(exponent.unsigned_abs())?, 0)
                }
            }
        };
        Some(Self { factor, tenths })
    }
}

/// A decimal number: `digits / 10^tenths`.
struct Decimal {
    digits: i128,
    tenths: u32,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (sign, text) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = [whole, fraction].concat();
        if digits.len() > DIGITS_MAX || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        Some(Self {
            digits: sign * digits.parse::<i128>().ok()?,
            tenths: u32::try_from(fraction.len()).ok()?,
        })
    }
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
            ("100e-3", "100m"),
            ("1000u", "1m"),
            ("1n", "1e-9"),
            ("0.0000000001G", "100m"),
            ("0.1n", "1n"),
            ("1.0000000000000000000Ei", "1Ei"),
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
            "", "Gi", "1 Gi", "1gi", "1,5", "--1", "1e", "1.2.3", "1e999", "0x10", "1-2", "1e-999",
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
