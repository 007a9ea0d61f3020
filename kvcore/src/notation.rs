//! The notation of the original papers, read and written.
//!
//! ```text
//! "person1" : { "name" : "John" ; "address" : { "street" : "Panepistimiou" ; "number" : 12 } }
//! ```
//!
//! ```text
//! entry    = key ":" content
//! key      = string | hex                       hex: a key that is not UTF-8
//! content  = value | hex [ "#" flags ]          hex: raw bytes, with a client's flags
//! value    = map | list | string | number | "true" | "false" | "null"
//! map      = "{" [ string ":" value { ";" string ":" value } ] "}"
//! list     = "[" [ value { ";" value } ] "]"
//! string   = as in JSON (RFC 8259)
//! number   = as in JSON; a point or an exponent makes it a float
//! hex      = "0x" { two hexadecimal digits }
//! ```
//!
//! White space between tokens does not count. Printing then parsing gives the same back.

mod parse;
mod print;

pub use self::{
    parse::{ParseError, parse_content, parse_entry, parse_key},
    print::{print_content, print_document, print_entry, print_key},
};

#[cfg(test)]
mod tests;
