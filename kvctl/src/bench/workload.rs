//! Which operations on which keys.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{BenchOptions, history};

/// Shares of operations, in percent; they add up to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Reads.
    pub get: u8,
    /// Writes.
    pub put: u8,
    /// Deletes.
    pub delete: u8,
}

impl std::str::FromStr for Mix {
    type Err = String;

    /// `GET:PUT` or `GET:PUT:DELETE`, in percent.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Result<Vec<u8>, _> = text.split(':').map(str::parse).collect();
        let (get, put, delete) = match parts.as_deref() {
            Ok([get, put]) => (*get, *put, 0),
            Ok([get, put, delete]) => (*get, *put, *delete),
            _ => return Err(format!("a mix is GET:PUT or GET:PUT:DELETE, not `{text}`")),
        };
        if u16::from(get) + u16::from(put) + u16::from(delete) != 100 {
            return Err(format!(
                "the shares of a mix add up to 100, those of `{text}` do not"
            ));
        }
        Ok(Self { get, put, delete })
    }
}

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Keys {
    /// Each as often as the others.
    Uniform,
    /// A few very often: Zipf's law with this exponent, 0 to 0.999.
    Zipf(f64),
    /// One after the other.
    Sequential,
}

impl std::str::FromStr for Keys {
    type Err = String;

    /// `uniform`, `sequential`, `zipf` or `zipf:EXPONENT`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("uniform", "") => Ok(Self::Uniform),
            ("sequential", "") => Ok(Self::Sequential),
            ("zipf", "") => Ok(Self::Zipf(0.99)),
            ("zipf", exponent) => match exponent.parse() {
                Ok(exponent) if (0.0..1.0).contains(&exponent) => Ok(Self::Zipf(exponent)),
                _ => Err(format!("an exponent is 0 to below 1, not `{exponent}`")),
            },
            _ => Err(format!(
                "keys are uniform, sequential or zipf[:EXPONENT], not `{text}`"
            )),
        }
    }
}

/// The kinds of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Get,
    Put,
    Delete,
}

impl Kind {
    /// Its name in reports and histories.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) kind: Kind,
    pub(super) key: String,
    /// What a put writes, where it is recorded.
    pub(super) value: Option<String>,
    pub(super) line: String,
}

/// Gives out operations; the same seed gives the same.
pub(super) struct Workload {
    random: ChaCha8Rng,
    mix: Mix,
    keys: Keys,
    key_count: u64,
    zipf: Option<Zipf>,
    next: u64,
    values: Values,
}

/// What puts write.
enum Values {
    /// The same again: the text of a raw value, its digits.
    One(String),
    /// Each another, for a history: so a read tells which put it saw.
    Unique { run: u64, next: u64, bytes: usize },
}

impl Workload {
    pub(super) fn new(options: &BenchOptions) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(options.seed);
        let bytes: Vec<u8> = (0..options.value_bytes).map(|_| random.random()).collect();
        let content = kvcore::value::Content::Raw {
            flags: 0,
            bytes: bytes.into(),
        };
        let zipf = match options.keys {
            Keys::Zipf(exponent) => Some(Zipf::new(options.key_count, exponent)),
            _ => None,
        };
        Self {
            random,
            mix: options.mix,
            keys: options.keys,
            key_count: options.key_count,
            zipf,
            next: 0,
            values: match options.history {
                // Not by the seed: the same seed may run twice on one cluster.
                Some(_) => Values::Unique {
                    run: rand::random(),
                    next: 0,
                    bytes: options.value_bytes,
                },
                None => Values::One(kvcore::notation::print_content(&content)),
            },
        }
    }

    /// The next operation, sent by this client.
    pub(super) fn next_operation(&mut self, client: usize) -> Operation {
        let number = self.next_key();
        let roll = self.random.random_range(0..100);
        let (kind, word) = if roll < self.mix.get {
            (Kind::Get, "GET")
        } else if roll < self.mix.get + self.mix.put {
            return self.put(client, number);
        } else {
            (Kind::Delete, "DELETE")
        };
        let key = key(number);
        Operation {
            kind,
            line: format!("{word} \"{key}\""),
            key,
            value: None,
        }
    }

    /// A put of the key with this number.
    pub(super) fn put(&mut self, client: usize, number: u64) -> Operation {
        let key = key(number);
        let (line, value) = match &mut self.values {
            Values::One(text) => (format!("PUT \"{key}\" : {text}"), None),
            Values::Unique { run, next, bytes } => {
                let value = history::value(*run, client, *next, *bytes);
                *next += 1;
                // Digits, letters and dashes: nothing in it needs an escape.
                (format!("PUT \"{key}\" : \"{value}\""), Some(value))
            }
        };
        Operation {
            kind: Kind::Put,
            key,
            value,
            line,
        }
    }

    fn next_key(&mut self) -> u64 {
        match (self.keys, &self.zipf) {
            (Keys::Sequential, _) => {
                self.next += 1;
                (self.next - 1) % self.key_count
            }
            (_, Some(zipf)) => {
                let rank = zipf.rank(self.random.random());
                // Spread, so that popular keys are not neighbours.
                rank.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.key_count
            }
            _ => self.random.random_range(0..self.key_count),
        }
    }
}

fn key(number: u64) -> String {
    format!("bench{number:012}")
}

/// Zipf-distributed ranks by the method of Gray et al., "Quickly Generating Billion-Record
/// Synthetic Databases", SIGMOD 1994.
struct Zipf {
    count: f64,
    exponent: f64,
    zeta: f64,
    eta: f64,
}

impl Zipf {
    fn new(count: u64, exponent: f64) -> Self {
        let zeta_of = |count: u64| (1..=count).map(|i| (i as f64).powf(-exponent)).sum::<f64>();
        let (zeta, two) = (zeta_of(count), zeta_of(count.min(2)));
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - exponent)) / (1.0 - two / zeta);
        Self {
            count: count as f64,
            exponent,
            zeta,
            eta,
        }
    }

    /// A rank from 0 for a number from 0 to below 1.
    fn rank(&self, uniform: f64) -> u64 {
        let scaled = uniform * self.zeta;
        if scaled < 1.0 || self.count < 2.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5f64.powf(self.exponent) {
            return 1;
        }
        let base = self.eta.mul_add(uniform, 1.0 - self.eta);
        let rank = self.count * base.powf(1.0 / (1.0 - self.exponent));
        // The cast saturates, and the count is far below 2^64.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let rank = rank as u64;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let last = self.count as u64 - 1;
        rank.min(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_and_keys_are_read_and_mistakes_named() {
        assert_eq!(
            "95:5".parse(),
            Ok(Mix {
                get: 95,
                put: 5,
                delete: 0
            })
        );
        assert_eq!(
            "50:40:10".parse(),
            Ok(Mix {
                get: 50,
                put: 40,
                delete: 10
            })
        );
        assert!(
            "50:40"
                .parse::<Mix>()
                .unwrap_err()
                .contains("add up to 100")
        );
        assert!("half".parse::<Mix>().unwrap_err().contains("GET:PUT"));
        assert_eq!("zipf:0.5".parse(), Ok(Keys::Zipf(0.5)));
        assert!("zipf:2".parse::<Keys>().unwrap_err().contains("below 1"));
        assert!("normal".parse::<Keys>().is_err());
    }

    #[test]
    fn zipf_prefers_low_ranks_and_reaches_high_ones() {
        let zipf = Zipf::new(1000, 0.99);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut counts = vec![0u32; 1000];
        for _ in 0..100_000 {
            counts[usize::try_from(zipf.rank(random.random())).expect("small")] += 1;
        }
        // The first rank's share is 1/zeta(1000), about 13 %.
        assert!((11_000..16_000).contains(&counts[0]), "{}", counts[0]);
        assert!(counts[0] > counts[10] && counts[10] > counts[500]);
        assert!(counts[900..].iter().any(|&count| count > 0));
    }
}
