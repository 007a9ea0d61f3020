//! A whole cluster on this machine: real processes, or all of it in this one.

pub mod admin;
pub mod down;
pub mod in_process;
pub mod launch;
pub mod layout;
pub mod process;
pub mod state;
pub mod up;
