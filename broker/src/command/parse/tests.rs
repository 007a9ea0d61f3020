//! Lines and what they are read as.
