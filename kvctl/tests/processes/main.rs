//! The built program as people run it: real processes, real files, real signals.
//!
//! Every test has a directory and ports of its own, so that they run side by side.

mod call;
mod cluster;
mod ports;
mod servers;

mod bench;
mod by_hand;
mod data;
mod directory;
mod foreground;
mod generate;
mod in_process;
mod load;
mod load_memory;
mod load_resumes;
mod pages;
mod scan;
mod survive;
mod unanswered;
mod up;
mod values;
