//! What `--help` shows of each subcommand at work.

pub(super) const FIRST_WALK: &str = "\
A first walk:
  kvctl up --detach                          five servers, one broker, three copies of every key
  kvctl put person1 '{\"name\":\"John\",\"address\":{\"number\":12}}'
  kvctl query person1.address.number         12
  kvctl kill 2; kvctl get person1            still there
  kvctl start 2; kvctl status                and caught up
  kvctl down";

pub(super) const UP: &str = "\
Examples:
  kvctl up                                   until Ctrl-C; the data stays in ./kvasir-data
  kvctl up --detach --load people.txt        in the background, with records in it
  kvctl up --detach --data-dir two --port-base 9000     a second cluster beside the first";

pub(super) const LOAD: &str = "\
Lines are one of these, told apart by content; blank ones and those that begin with # do not count:
  \"person1\" : { \"name\" : \"John\" ; \"address\" : { \"number\" : 12 } }
  {\"key\": \"person1\", \"value\": {\"name\": \"John\"}}
  {\"id\": \"person1\", \"name\": \"John\"}           with --key id: the object is the value

A load that was interrupted goes on where it was when the same command is given again. Exit code 0:
every record is stored; 1: some lines were not loaded, they are named and kept; 2: no load.";

pub(super) const GET: &str = "\
Examples:
  kvctl get person1                          {\"name\":\"John\",\"address\":{\"number\":12}}
  kvctl get python3.11                       a key is taken as it stands, dots and all
  kvctl get photo --raw > photo.jpg";

pub(super) const PUT: &str = "\
Examples:
  kvctl put person1 '{\"name\":\"John\"}'
  kvctl put motd '\"text stands in quotes\"'
  kvctl put photo --raw - < photo.jpg        bytes, up to 64 MiB";

pub(super) const QUERY: &str = "\
Examples:
  kvctl query person1.address.number         12
  kvctl query person1.phones.0               the first of a list
  kvctl query 'python3\\.11.Depends'          of the key python3.11

Exit code 1: not there; 2: could not find out.";

pub(super) const SCAN: &str = "\
Examples:
  kvctl scan person                          keys that begin with it
  kvctl scan --limit 10 --after person7      ten keys, from the one after person7 on
  kvctl scan > all.ndjson                    everything; `kvctl load all.ndjson` reads it";

pub(super) const GENERATE: &str = "\
Example:
  printf 'name string\\nage int\\nheight float\\nstreet string\\nlevel int\\n' > keys.txt
  kvctl generate -k keys.txt -n 1000 -d 3 -m 5 -l 10 --seed 1 | kvctl load -";

pub(super) const BENCH: &str = "\
Examples:
  kvctl bench --seconds 30 --mix 95:5        as fast as 64 clients at once go
  kvctl bench --rate 5000                    5000 operations a second, stalls and all
  kvctl bench --keys 50 --history h.ndjson   what every client saw, for history-checker

Lines of a history: client, operation (put, get, delete), key, value (what a put writes), start and
end (ns of the system's monotonic clock), outcome (done, not_done, unknown), read (what a get saw;
null: absent), found (a delete that found nothing has written nothing). Values beyond 256 bytes are
written as their first 64, three dots, their length, a colon, and FNV-1a of 64 bits.";

pub(super) const COMPLETIONS: &str = "\
Example, for the shell that reads it:
  source <(kvctl completions bash)";

pub(super) const MAN: &str = "\
Example:
  kvctl man man1 && man ./man1/kvctl.1";
