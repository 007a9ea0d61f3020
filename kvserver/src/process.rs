//! A trie server from its options to its end: files, threads, sockets, shutdown.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use kvcore::{
    placement::MemberId,
    replica::Replica,
    wire::{Secret, Standing},
};
use kvnet::{
    clock::SystemClock,
    http,
    peer::{dial::Dial, server as peer_server},
    shutdown::{self, Shutdown},
};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use crate::{
    admin, catch_up,
    log::disk::{
        Disk,
        directory::{Directory, DirectoryError},
    },
    member_files,
    server::{Parts, Server},
    store::{self, StoreOptions},
    writer_thread::WriterThread,
};

/// How long the log may take to close, once nothing is in flight any more.
const CLOSE_MAX: Duration = Duration::from_secs(4);

/// What a trie server needs to know.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where its data lies.
    pub data_dir: PathBuf,
    /// Where its peer server listens (`host:port`); `None` listens nowhere.
    pub peer: Option<String>,
    /// Where its admin HTTP listens; `None` listens nowhere.
    pub admin: Option<String>,
    /// The cluster's secret.
    pub secret: Secret,
    /// How it keeps its data.
    pub store: StoreOptions,
}

/// Why a trie server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory is in use, foreign, or not to be had.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A small file is damaged or cannot be written.
    #[error(transparent)]
    Files(#[from] member_files::MemberFileError),
    /// The directory belongs to a member whose log is gone: what it would serve is nothing.
    #[error(
        "{directory} names a member that has held slots, but its log is not there: this member's \
         data is lost. Empty the directory to let a new member begin"
    )]
    LogGone {
        /// The data directory.
        directory: PathBuf,
    },
    /// The log cannot be opened.
    #[error("the log in {directory}: {source}")]
    Log {
        /// The data directory.
        directory: PathBuf,
        /// Why.
        source: crate::log::OpenError,
    },
    /// The directory cannot be listed.
    #[error("cannot list the data directory: {0}")]
    List(std::io::Error),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which address.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A task ended before it gave its result.
    #[error("start-up was interrupted: {0}")]
    Interrupted(String),
}

/// A trie server at work.
#[derive(Debug)]
pub struct Running {
    server: Server<Directory>,
    peer: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    stop: shutdown::Trigger,
    tasks: Vec<JoinHandle<()>>,
}

/// Opens the data and starts to serve. Answers peers at once, and catches up by `dial`.
pub async fn start(options: ServerOptions, dial: Arc<dyn Dial>) -> Result<Running, StartError> {
    let ServerOptions {
        data_dir,
        peer,
        admin,
        secret,
        store,
    } = options;
    // Bound first: a port in use is said before minutes are spent on the log.
    let peer = listen(peer).await?;
    let admin = listen(admin).await?;
    let server = {
        let opening = tokio::task::spawn_blocking(move || open(data_dir, store));
        opening
            .await
            .map_err(|error| StartError::Interrupted(error.to_string()))??
    };
    let (stop, shutdown) = shutdown::channel();
    let mut running = Running {
        server: server.clone(),
        peer: peer
            .as_ref()
            .and_then(|listener| listener.local_addr().ok()),
        admin: admin
            .as_ref()
            .and_then(|listener| listener.local_addr().ok()),
        stop,
        tasks: Vec::new(),
    };
    if let Some(listener) = peer {
        let replica: Arc<dyn Replica> = Arc::new(server.clone());
        let (identity, secret) = (Arc::new(server.clone()), secret.clone());
        let serving = peer_server::serve(listener, replica, identity, secret, shutdown.clone());
        running.tasks.push(tokio::spawn(serving));
    }
    if let Some(listener) = admin {
        let routes = admin::routes(server.clone(), secret);
        running.tasks.push(tokio::spawn(http::serve(
            listener,
            routes,
            shutdown.clone(),
        )));
    }
    running
        .tasks
        .push(tokio::spawn(catch_up::run(server, dial, shutdown)));
    Ok(running)
}

impl Running {
    /// The member at work.
    pub fn server(&self) -> &Server<Directory> {
        &self.server
    }

    /// Where the peer server listens.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Where the admin HTTP listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Finishes what is in flight, syncs and ends, within ten seconds whatever clients hold open.
    pub async fn stop(self) -> Result<(), String> {
        self.stop.stop();
        for task in self.tasks {
            // Each bounds its own draining.
            let _ = task.await;
        }
        match timeout(CLOSE_MAX, self.server.writer().stop()).await {
            Ok(closed) => closed,
            Err(_) => Err(format!(
                "the log did not close within {} s",
                CLOSE_MAX.as_secs()
            )),
        }
    }
}

/// Runs until `shutdown`, then stops.
pub async fn run(
    options: ServerOptions,
    dial: Arc<dyn Dial>,
    shutdown: Shutdown,
) -> Result<(), anyhow::Error> {
    let running = tokio::select! {
        running = start(options, dial) => running?,
        // A log can take minutes to open, and nothing was promised to anybody yet.
        () = shutdown.stopped() => {
            tracing::info!("stopped while it was starting");
            return Ok(());
        }
    };
    tracing::info!(
        member = %running.server().member(),
        peer = running.peer().map(|address| address.to_string()),
        admin = running.admin().map(|address| address.to_string()),
        "serving"
    );
    shutdown.stopped().await;
    running.stop().await.map_err(anyhow::Error::msg)
}

async fn listen(address: Option<String>) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = address else {
        return Ok(None);
    };
    match TcpListener::bind(&address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(StartError::Listen { address, source }),
    }
}

/// Whether there is any segment, whatever is in it.
fn has_log(directory: &Directory) -> Result<bool, StartError> {
    let names = directory.list().map_err(StartError::List)?;
    Ok(names.iter().any(|name| crate::log::is_segment(name)))
}

/// Opens everything that blocks.
fn open(data_dir: PathBuf, options: StoreOptions) -> Result<Server<Directory>, StartError> {
    // Before the lock file: nothing is written to what is somebody else's.
    member_files::check_is_ours(&data_dir)?;
    let directory = Arc::new(Directory::open(&data_dir)?);
    let member: MemberId = member_files::member_id(&data_dir)?;
    let placement = member_files::read_placement(&data_dir)?;
    let slots = member_files::read_slot_table(&data_dir)?;
    if (placement.is_some() || !slots.is_empty()) && !has_log(&directory)? {
        return Err(StartError::LogGone {
            directory: data_dir,
        });
    }
    let began = std::time::Instant::now();
    // The log is named after its member, so that its records can be told even without any head.
    let log_id = member.0.as_u128();
    let opened = store::open(directory, options.clone(), log_id, &slots.valid_from());
    let opened = opened.map_err(|source| StartError::Log {
        directory: data_dir.clone(),
        source,
    })?;
    let recovery = &opened.recovery;
    tracing::info!(
        %member,
        keys = opened.store.keys(),
        segments = recovery.segments,
        from_hints = recovery.from_hints,
        intact = recovery.intact,
        clean_shutdown = recovery.clean_shutdown,
        seconds = began.elapsed().as_secs_f64(),
        "data recovered"
    );
    if recovery.torn_bytes > 0 {
        tracing::warn!(
            bytes = recovery.torn_bytes,
            "an unfinished write at the log's end was cut"
        );
    }
    for range in &recovery.damaged {
        tracing::error!(%range, "damage in the log: its slots are repaired from other copies");
    }
    let unsynced = opened.store.slots_with(Standing::Unsynced).len();
    if unsynced > 0 {
        tracing::warn!(
            slots = unsynced,
            "these slots may lack writes and do not vote until synced"
        );
    }
    let clock = Arc::new(SystemClock);
    let writer = WriterThread::start(opened.writer, options.sync, clock.clone())
        .map_err(StartError::Thread)?;
    Ok(Server::new(Parts {
        member,
        directory: data_dir,
        store: opened.store,
        options,
        writer,
        placement,
        slot_table: slots,
        clock,
    }))
}
