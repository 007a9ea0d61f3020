//! Numbers and pieces off the bytes that a fuzzer makes up. At their end everything is zero.

/// What is left of the bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Begins with the first byte.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most so many bytes.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The next byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// The next two bytes.
    pub(crate) fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// The next four bytes.
    pub(crate) fn long(&mut self) -> u32 {
        u32::from(self.short()) | u32::from(self.short()) << 16
    }

    /// The next two bytes as an index below `count`; zero of nothing.
    pub(crate) fn index(&mut self, count: usize) -> usize {
        usize::from(self.short()) % count.max(1)
    }

    /// A length in one byte, then so many bytes.
    pub(crate) fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// What is left, its beginning repeated: so a few bytes make what is long or deep.
    ///
    /// Two bytes say how many bytes are repeated and four how often, until `most` bytes are there.
    pub(crate) fn stretched(&mut self, most: usize) -> Vec<u8> {
        let repeated = usize::from(self.short());
        let times = self.long() as usize;
        let repeated = self.take(repeated);
        let times = times.min(most / repeated.len().max(1));
        let mut bytes = repeated.repeat(times);
        bytes.extend_from_slice(self.rest());
        bytes
    }

    /// Cuts `bytes` into pieces at places chosen by `seeds`, in order.
    pub(crate) fn cut<'b>(seeds: &[u8], mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut pieces = Vec::new();
        for &seed in seeds {
            let (piece, rest) = bytes.split_at(usize::from(seed).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces.push(bytes);
        pieces
    }
}
