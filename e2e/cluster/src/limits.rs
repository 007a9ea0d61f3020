//! How many, how long, how much: every limit of a cluster, with its reason.

use std::time::Duration;

/// Most nodes: beyond that one machine of a developer's size only swaps.
pub const NODES_MAX: u8 = 5;

/// How often a condition is looked at while it is waited for.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// How long a command of the system may take, unless its caller knows better.
pub(crate) const COMMAND_MAX: Duration = Duration::from_secs(30);

/// How long the archives of images may take to be imported into one node.
pub(crate) const IMPORT_MAX: Duration = Duration::from_mins(3);

/// How long one request to the API server may take.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(5);

/// How long a daemon may take to have a process number.
pub(crate) const SPAWN_MAX: Duration = Duration::from_secs(5);

/// How long a process may take to end after SIGTERM, before it is killed.
pub(crate) const TERM_MAX: Duration = Duration::from_secs(5);

/// How long the kernel may take to end what was killed.
pub(crate) const KILL_MAX: Duration = Duration::from_secs(20);

/// How long the API server may take to answer that it is ready.
pub(crate) const API_READY_MAX: Duration = Duration::from_secs(90);

/// How long a node may take to be Ready, image import included.
pub(crate) const NODE_READY_MAX: Duration = Duration::from_mins(3);

/// How long an answer for a name may take before the question is asked again.
pub(crate) const QUESTION_MAX: Duration = Duration::from_secs(2);

/// How long DNS may take until it answers on every node.
pub(crate) const ADDONS_READY_MAX: Duration = Duration::from_mins(2);

/// How long the kernel may take to let go of the cgroups of processes that ended.
pub(crate) const CGROUPS_MAX: Duration = Duration::from_secs(20);

/// How long the processes of a pod may take to stand still.
pub(crate) const FREEZE_MAX: Duration = Duration::from_secs(10);

/// How long one module of Go programs may take to build: on two cores the largest takes seven
/// minutes, on a machine that does other things twice that.
pub(crate) const BUILD_MAX: Duration = Duration::from_mins(45);

/// How long a cluster may look half up because something is being stopped on purpose.
pub(crate) const SETTLED_MAX: Duration = Duration::from_secs(3);

/// How long another command may take to start or stop a cluster, programs that it builds included.
pub(crate) const LOCK_MAX: Duration = Duration::from_hours(1);

/// How much of what a failed command said is shown.
pub(crate) const SAID_BYTES_MAX: usize = 4096;
