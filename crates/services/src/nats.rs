//! A NATS server of one's own, and a cluster of them.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;
use std::{env, fs};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::supervisor::Supervisor;
use crate::{DiskSync, NatsBinary, is_without_services};

/// Starts the server, says so when it serves, and ends it at the end of the input.
const SCRIPT: &str = r#"
program=$1 folder=$2
: >"$folder/log"
"$program" -c "$folder/server.conf" >>"$folder/out" 2>&1 &
pid=$!
echo "$pid" >"$folder/pid"
for attempt in $(seq 200); do
    if grep -q 'Server is ready' "$folder/log"; then
        echo ready
        keep=
        while read -r word; do keep=$word; done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        [ "$keep" = keep ] || rm -rf "$folder"
        exit 0
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.05
done
kill -KILL "$pid" 2>/dev/null
cat "$folder/log" "$folder/out" >&2
exit 1
"#;

/// How often another set of free ports is tried: another process may take one before the server does.
const PORTS_MAX: u32 = 5;

/// How often the nodes of a cluster are asked for their leader, and the pause between.
const LEADER_QUESTIONS_MAX: u32 = 1200;
const LEADER_PAUSE: Duration = Duration::from_millis(50);

/// A NATS server with JetStream, in a temporary folder, on ports of `127.0.0.1`. It ends, and its folder goes, when it is
/// dropped or the process is gone.
#[derive(Debug)]
pub struct NatsServer {
    supervisor: Option<Supervisor>,
    folder: TempDir,
    binary: NatsBinary,
    name: String,
    port: u16,
    monitoring_port: u16,
}

/// Servers that form one cluster.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<NatsServer>,
}

/// The ports of a server.
#[derive(Clone, Copy, Debug)]
struct Ports {
    client: u16,
    monitoring: u16,
    cluster: u16,
}

impl NatsServer {
    /// The address of the server that the tests of a binary share: that of `ANNALS_TEST_NATS_URL`, or one that is
    /// started, with [`DiskSync::OffLosesCommitsOnPowerLoss`], when it is asked for first. `None` when
    /// `ANNALS_WITHOUT_SERVICES` is `1`: the caller's test is then skipped, which is said on standard error.
    ///
    /// # Errors
    /// As for [`start`](Self::start); the first failure stays.
    pub fn shared() -> Result<Option<String>> {
        static SHARED: LazyLock<Mutex<Option<NatsServer>>> = LazyLock::new(Mutex::default);
        if is_without_services() {
            return Ok(None);
        }
        if let Some(url) = named() {
            return Ok(Some(url));
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = &*shared {
            return Ok(Some(server.url()));
        }
        let server = Self::start(DiskSync::OffLosesCommitsOnPowerLoss)?;
        let url = server.url();
        *shared = Some(server);
        Ok(Some(url))
    }

    /// A server for one test, whatever `ANNALS_TEST_NATS_URL` says; `None` as for [`shared`](Self::shared), and where
    /// that variable names a server and the machine has no NATS to start another.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn own(disk_sync: DiskSync) -> Result<Option<Self>> {
        own(|| Self::start(disk_sync))
    }

    /// The same with more in its configuration, as `authorization { ... }`.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn own_with(disk_sync: DiskSync, more: &str) -> Result<Option<Self>> {
        own(|| Self::start_with(disk_sync, more))
    }

    /// Starts a server.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no NATS on the machine; what the server wrote when it ends at once.
    pub fn start(disk_sync: DiskSync) -> Result<Self> {
        Self::start_with(disk_sync, "")
    }

    fn start_with(disk_sync: DiskSync, more: &str) -> Result<Self> {
        let mut failure = Error::other("no port was tried");
        for _ in 0..PORTS_MAX {
            let mut server = Self::ready(free_ports(1)?.first(), "node1", disk_sync, more)?;
            match server.launch() {
                Ok(()) => return Ok(server),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// What a client connects to.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where the server tells of its state, over HTTP.
    pub fn monitoring_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitoring_port)
    }

    /// The folder that holds what the server keeps, below `store`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server, with no time to tidy up.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Halts the server, which keeps its connections and says nothing, until [`resume`](Self::resume).
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets the server go on after [`pause`](Self::pause).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts it again on the same data and ports; one that runs is killed first.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn restart(&mut self) -> Result<()> {
        self.end()?;
        self.launch()
    }

    /// Kills the server, where it runs, and waits until it is gone; its data stays for [`restart`](Self::restart).
    ///
    /// # Errors
    /// When it can't be told to.
    pub fn end(&mut self) -> Result<()> {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.tell("keep")?;
        }
        self.supervisor = None;
        Ok(())
    }

    /// What the server tells at a path of its monitoring port.
    ///
    /// # Errors
    /// When it can't be reached, or answers with something that is not JSON.
    pub fn monitor(&self, path: &str) -> Result<Value> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.monitoring_port))?;
        connection.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(connection, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok(serde_json::from_str(body)?)
    }

    fn ready(ports: Option<&Ports>, name: &str, disk_sync: DiskSync, more: &str) -> Result<Self> {
        let ports = ports.ok_or_else(|| Error::other("no port"))?;
        let folder = tempfile::Builder::new().prefix("annals-nats-").tempdir()?;
        let sync = match disk_sync {
            DiskSync::On => "always",
            DiskSync::OffLosesCommitsOnPowerLoss => "2m",
        };
        let path = folder.path().display();
        let (client, monitoring) = (ports.client, ports.monitoring);
        let config = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{client}\nhttp: 127.0.0.1:{monitoring}\n\
             log_file: \"{path}/log\"\n\
             jetstream {{ store_dir: \"{path}/store\", max_mem: 256MB, max_file: 8GB, sync_interval: {sync} }}\n\
             {more}"
        );
        fs::write(folder.path().join("server.conf"), config)?;
        Ok(Self {
            supervisor: None,
            binary: NatsBinary::find()?,
            name: name.to_owned(),
            folder,
            port: client,
            monitoring_port: monitoring,
        })
    }

    fn launch(&mut self) -> Result<()> {
        let [program, folder] = [self.binary.path(), self.folder.path()]
            .map(|path: &Path| path.to_string_lossy().into_owned());
        self.supervisor = Some(Supervisor::start(SCRIPT, &[&program, &folder], None)?);
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let text = fs::read_to_string(self.folder.path().join("pid"))?;
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::new(ErrorKind::InvalidData, "no process id"))?;
        kill_process(pid, signal)?;
        Ok(())
    }
}

impl NatsCluster {
    /// A cluster for one test; `None` as for [`NatsServer::own`].
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn own(size: usize, disk_sync: DiskSync) -> Result<Option<Self>> {
        own(|| Self::start(size, disk_sync))
    }

    /// Starts a cluster of so many servers, and waits until they have a leader.
    ///
    /// # Errors
    /// As for [`NatsServer::start`]; [`ErrorKind::TimedOut`] when they don't agree within a minute.
    pub fn start(size: usize, disk_sync: DiskSync) -> Result<Self> {
        let mut failure = Error::other("no port was tried");
        for _ in 0..PORTS_MAX {
            match Self::launch(&free_ports(size)?, disk_sync) {
                Ok(cluster) => return cluster.await_leader().map(|()| cluster),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// What a client connects to: the addresses of all nodes, with commas between.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(NatsServer::url).collect();
        urls.join(",")
    }

    /// The nodes, in the order of their names `node1`, `node2` and so on.
    pub fn nodes(&self) -> &[NatsServer] {
        &self.nodes
    }

    /// The nodes, to be killed, halted and started again.
    pub fn nodes_mut(&mut self) -> &mut [NatsServer] {
        &mut self.nodes
    }

    /// The index of the node that leads a stream.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when no node knows of one.
    pub fn leader_of(&self, stream: &str) -> Result<usize> {
        let known = self.nodes.iter().filter_map(|node| {
            let state = node.monitor("/jsz?streams=1").ok()?;
            let details = state
                .pointer("/account_details/0/stream_detail")?
                .as_array()?;
            let detail = details.iter().find(|detail| detail["name"] == stream)?;
            let leader = detail.pointer("/cluster/leader")?.as_str()?;
            leader
                .strip_prefix("node")?
                .parse::<usize>()
                .ok()?
                .checked_sub(1)
        });
        let mut votes = vec![0; self.nodes.len()];
        for leader in known {
            if let Some(count) = votes.get_mut(leader) {
                *count += 1;
            }
        }
        let most = votes.iter().enumerate().max_by_key(|(_, count)| **count);
        most.filter(|(_, count)| **count > 0)
            .map(|(leader, _)| leader)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the stream has no leader now"))
    }

    /// Waits until all nodes know who leads the cluster, and the leader knows all of them, so that it finds a place for
    /// whatever is to be on so many.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when they don't within a minute.
    #[expect(
        clippy::disallowed_methods,
        reason = "what other processes come to can only be asked for again and again"
    )]
    pub fn await_leader(&self) -> Result<()> {
        for _ in 0..LEADER_QUESTIONS_MAX {
            if self.nodes.iter().all(|node| self.is_settled(node)) {
                return Ok(());
            }
            sleep(LEADER_PAUSE);
        }
        Err(Error::new(ErrorKind::TimedOut, "the cluster has no leader"))
    }

    fn is_settled(&self, node: &NatsServer) -> bool {
        let others = self.nodes.len() - 1;
        node.monitor("/jsz").is_ok_and(|state| {
            let cluster = |name: &str| state.pointer(&format!("/meta_cluster/{name}"));
            let leader = cluster("leader").and_then(Value::as_str);
            let leads = leader == Some(node.name.as_str());
            leader.is_some_and(|leader| !leader.is_empty())
                && cluster("cluster_size") == Some(&self.nodes.len().into())
                && (!leads || cluster("replicas").is_some_and(|it| are_known(it, others)))
        })
    }

    fn launch(ports: &[Ports], disk_sync: DiskSync) -> Result<Self> {
        let routes: Vec<String> = ports
            .iter()
            .map(|ports| format!("\"nats://127.0.0.1:{}\"", ports.cluster))
            .collect();
        let routes = routes.join(", ");
        let mut nodes = Vec::new();
        for (number, own) in (1..).zip(ports) {
            let listen = own.cluster;
            let cluster = format!(
                "cluster {{ name: annals, listen: \"127.0.0.1:{listen}\", routes: [{routes}] }}\n"
            );
            let mut node =
                NatsServer::ready(Some(own), &format!("node{number}"), disk_sync, &cluster)?;
            node.launch()?;
            nodes.push(node);
        }
        Ok(Self { nodes })
    }
}

fn own<T>(start: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    if is_without_services() {
        return Ok(None);
    }
    match start() {
        Err(error) if error.kind() == ErrorKind::NotFound && named().is_some() => Ok(None),
        started => started.map(Some),
    }
}

/// Whether a leader has heard of so many others, by name, and each has what it has.
fn are_known(replicas: &Value, count: usize) -> bool {
    let replicas = replicas.as_array().map_or(&[][..], Vec::as_slice);
    let is_known = |replica: &Value| {
        let name = replica.get("name").and_then(Value::as_str);
        // One that it has not heard of has a sentence in place of a name.
        name.is_some_and(|name| !name.contains(' '))
            && replica.get("current") == Some(&true.into())
            && replica.get("offline") != Some(&true.into())
    };
    replicas.len() == count && replicas.iter().all(is_known)
}

/// The address of a server that somebody else has started.
fn named() -> Option<String> {
    env::var("ANNALS_TEST_NATS_URL").ok()
}

/// Free ports for so many servers, all of them different.
fn free_ports(servers: usize) -> Result<Vec<Ports>> {
    let bind = || TcpListener::bind(("127.0.0.1", 0));
    let listeners: Vec<[TcpListener; 3]> = (0..servers)
        .map(|_| Ok([bind()?, bind()?, bind()?]))
        .collect::<Result<_>>()?;
    let port = |listener: &TcpListener| Ok::<u16, Error>(listener.local_addr()?.port());
    listeners
        .iter()
        .map(|[client, monitoring, cluster]| {
            Ok(Ports {
                client: port(client)?,
                monitoring: port(monitoring)?,
                cluster: port(cluster)?,
            })
        })
        .collect()
}
