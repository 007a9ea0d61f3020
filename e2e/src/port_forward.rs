//! `kubectl port-forward`: the way from this machine to a Service that has no port outside.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout},
};

use anyhow::{Context, Result, bail};

use crate::kubectl::Kubectl;

/// A port of this machine that leads to a Service, until it is dropped.
#[derive(Debug)]
pub(crate) struct PortForward {
    child: Child,
    address: SocketAddr,
    /// It tells of each connection, and ends when nobody listens.
    _output: BufReader<ChildStdout>,
}

impl PortForward {
    /// A way to this port of a Service.
    pub(crate) fn to(kubectl: &Kubectl, service: &str, port: u16) -> Result<Self> {
        let (service, port) = (format!("service/{service}"), format!(":{port}"));
        let arguments = ["port-forward", "--address=127.0.0.1", &service, &port];
        let mut child = kubectl.start(&arguments)?;
        let output = child.stdout.take().context("its output is a pipe")?;
        let (mut output, mut line) = (BufReader::new(output), String::new());
        // It prints where it listens, or ends.
        output.read_line(&mut line)?;
        let Some(address) = address_in(&line) else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("kubectl port-forward {service}: says {line:?}");
        };
        Ok(Self {
            child,
            address,
            _output: output,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // It has nothing to bring to an end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of `Forwarding from 127.0.0.1:41234 -> 7600`.
fn address_in(line: &str) -> Option<SocketAddr> {
    let rest = line.strip_prefix("Forwarding from ")?;
    rest.split_once(" -> ")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_what_kubectl_says() {
        assert_eq!(
            address_in("Forwarding from 127.0.0.1:41234 -> 7600\n"),
            Some(SocketAddr::from(([127, 0, 0, 1], 41234)))
        );
        assert_eq!(address_in(""), None);
        assert_eq!(address_in("error: no such Service"), None);
    }
}
