//! Every bound in one place. A queue, table or decoder without a line here does not exist.

/// A frame's largest length in bytes: 1,514 of Ethernet with room for tags.
pub const FRAME_LEN_MAX: usize = 1_792;
/// Frames in one burst between a port and a lane.
pub const BURST_LEN_MAX: usize = 64;
/// Frames that one pool may own.
pub const POOL_FRAMES_MAX: usize = 65_536;
/// Frames in flight on one direction of one wire link.
pub const WIRE_LINK_DEPTH: usize = 1_024;
/// Frames that one direction of an impaired wire link holds back at once; more are dropped and counted.
pub const WIRE_DELAYED_MAX: usize = 16_384;
/// Ports on one wire fabric.
pub const WIRE_PORTS_MAX: usize = 256;
/// Queues of one DPDK device.
pub const DPDK_QUEUES_MAX: usize = 64;
/// Descriptors of one receive or send queue of a DPDK device; fewer where its driver says so.
pub const DPDK_DESCRIPTORS_MAX: u16 = 1_024;
/// Addresses of one card that a program in the kernel compares with.
pub const RULE_ADDRESSES_MAX: usize = 64;
/// Port ranges of one rule of such a program.
pub const RULE_PORTS_MAX: usize = 64;
/// Frames of one `AF_XDP` queue that its receive ring holds, and as many chunks to receive into; a power of two. Most of
/// 10,000 peers may speak while the lane is kept from its core.
pub const XDP_RX_FRAMES: usize = 8_192;
/// Frames of one `AF_XDP` queue that its send ring holds, and as many chunks to send from; a power of two.
pub const XDP_TX_FRAMES: usize = 1_024;
/// Calls (SYNs) that a second receive ring of one `AF_XDP` queue holds, and as many chunks; a power of two.
pub const XDP_RX_CALLS: usize = 1_024;
/// Bytes of the verifier's log that an error keeps.
pub const VERIFIER_LOG_LEN_MAX: usize = 64 << 10;

/// Queues of one device, each with a port of its own.
pub const PORT_QUEUES_MAX: usize = 64;
/// A network interface's longest name in bytes (`IFNAMSIZ`, less its zero).
pub const INTERFACE_NAME_LEN_MAX: usize = 15;
/// How long one system call may poll a device, in microseconds.
pub const BUSY_POLL_US_MAX: u32 = 1_000_000;
/// Arguments that one port's URL gives to DPDK.
pub const EAL_ARGUMENTS_MAX: usize = 64;
/// A received TCP super-frame's largest length in bytes: the largest IP packet behind a tagged Ethernet header.
pub const SUPER_FRAME_LEN_MAX: usize = 65_535 + 18;
/// A sent super-frame's largest length in bytes, headers included.
pub const JOINED_LEN_MAX: usize = 65_000;
/// Bytes of the kernel's buffer of one packet socket in each direction, where the host allows it.
pub const PACKET_BUFFER_LEN: usize = 8 << 20;
/// Addresses that a packet socket's filter tells apart; a card with more takes all frames and looks itself.
pub const FILTER_ADDRESSES_MAX: usize = 64;
/// Ranges of TCP ports that a packet socket's filter tells apart; a card with more takes all frames and looks itself.
pub const FILTER_RANGES_MAX: usize = 64;

/// Sessions of one lane.
pub const SESSIONS_MAX: usize = 1 << 20;
/// Half-open sessions of one lane: no handshake finished yet.
pub const HALF_OPEN_MAX: usize = 4_096;
/// Bytes of the buffers of those whose SYN|ACK is not acknowledged.
pub const HALF_OPEN_BYTES_MAX: usize = 64 << 20;
/// Closed sessions of one lane whose old duplicates are waited out.
pub const TIME_WAIT_MAX: usize = 1 << 16;
/// Handshake jobs that one lane has out at once.
pub const CRYPTO_JOBS_MAX: usize = 256;
/// A message's largest body in bytes.
pub const MESSAGE_LEN_MAX: usize = 4 << 20;
/// A message's largest body in bytes from a peer that has only the terminal role.
pub const TERMINAL_MESSAGE_LEN_MAX: usize = 64 << 10;
/// Segments in flight on one session that are told apart; the last takes what goes beyond.
pub const SCOREBOARD_SEGMENTS_MAX: usize = 4_096;
/// Messages that wait in one session's outbox.
pub const OUTBOX_MESSAGES_MAX: usize = 1_024;
/// Events of one lane that its host has not taken yet.
pub const LANE_EVENTS_MAX: usize = 16_384;
/// Bytes of message bodies among those events.
pub const LANE_EVENT_BYTES_MAX: usize = 16 << 20;
/// Targets that one tally watches at once.
pub const TALLY_TARGETS_MAX: usize = 65_536;

/// Producers of one schedule (PROTOCOL.md, "Changing the producers").
pub const PRODUCERS_MAX: usize = 101;
/// Registered producers of one chain, whatever their status.
pub const CANDIDATES_MAX: usize = 1_024;
/// Producers that one account votes for.
pub const VOTES_MAX: usize = 30;
/// Amounts of one account's stake that wait to be free.
pub const RELEASES_MAX: usize = 32;
/// Keys of one producer to which evidence may still be held.
pub const PRODUCER_KEYS_MAX: usize = 16;
/// Bytes of what a producer says about itself.
pub const PRODUCER_ABOUT_LEN_MAX: usize = 256;
/// Slices of one slot (PROTOCOL.md, "Words").
pub const SLICES_PER_SLOT_MAX: u32 = 2_048;
/// Slots that may pass without finality before slices carry no transactions.
pub const UNFINAL_SLOTS_MAX: u64 = 1_200;
/// Transactions of one slice.
pub const TRANSACTIONS_PER_SLICE_MAX: usize = 8_192;
/// Bytes of the transactions of one slice.
pub const SLICE_BYTES_MAX: usize = 2 << 20;
/// A transaction's canonical bytes.
pub const TRANSACTION_LEN_MAX: usize = 32 << 10;
/// Actions of one transaction.
pub const ACTIONS_MAX: usize = 64;
/// Authorisations of one transaction.
pub const AUTHORISATIONS_MAX: usize = 64;
/// Signatures of one transaction.
pub const SIGNATURES_MAX: usize = 64;
/// How far ahead of block time a transaction may expire, in milliseconds.
pub const EXPIRY_AHEAD_MS_MAX: u64 = 600_000;
/// Transactions in one mempool.
pub const MEMPOOL_TRANSACTIONS_MAX: usize = 262_144;
/// Bytes of the transactions in one mempool.
pub const MEMPOOL_BYTES_MAX: usize = 128 << 20;
/// Transactions of one payer in one mempool.
pub const MEMPOOL_PER_PAYER_MAX: usize = 4_096;
/// Slices that wait for their parent in one consensus engine.
pub const ORPHAN_SLICES_MAX: usize = 4_096;

/// A state key's largest length in bytes: what LMDB's default build holds. The smallest is one byte.
pub const STATE_KEY_LEN_MAX: usize = 511;
/// A state value's largest length in bytes.
pub const STATE_VALUE_LEN_MAX: usize = 16 << 20;
/// Bytes of address space that one store maps unless its options say otherwise; the file grows as it fills, so this is
/// a bound and not a cost.
pub const STORE_MAP_LEN: usize = 1 << 40;
/// Accounts in whose history one transaction is found: who pays and stands behind it, then those that its events name.
pub const HISTORY_ACCOUNTS_MAX: usize = 256;
/// Kinds of action under which one transaction is found.
pub const HISTORY_KINDS_MAX: usize = 128;
/// Rows of one page of a history.
pub const HISTORY_PAGE_MAX: usize = 10_000;
/// Rows of an index that are looked at for one page.
pub const HISTORY_SCANNED_MAX: usize = 1 << 20;
/// Bytes of slices that one commit adds to an index that is made anew.
pub const HISTORY_BUILD_BYTES: usize = 16 << 20;
/// Snapshots of one store that are read at once.
pub const STORE_READERS_MAX: u32 = 512;
/// A log record's largest body in bytes: a full slice with its certificate and framing.
pub const LOG_RECORD_LEN_MAX: usize = SLICE_BYTES_MAX + (1 << 20);
/// Bytes of one batch of the log.
pub const LOG_BATCH_LEN_MAX: usize = 16 << 20;
/// A log segment's length in bytes unless the options say otherwise.
pub const LOG_SEGMENT_LEN: u64 = 32 << 20;
/// A log segment's largest length in bytes.
pub const LOG_SEGMENT_LEN_MAX: u64 = 1 << 30;

/// Transfers of one workload's list.
pub const WORKLOAD_TRANSFERS_MAX: usize = 4 << 20;
/// Bytes of one line of a workload file.
pub const WORKLOAD_LINE_LEN_MAX: usize = 1_024;
/// Seconds of a run that a report's time series hold; later ones are in the totals only.
pub const REPORT_SECONDS_MAX: usize = 86_400;
/// Epochs that a report tells of: the last ones of its run.
pub const REPORT_EPOCHS_MAX: usize = 256;
/// A slice's canonical bytes with its signature, two quorums of 101 and a schedule of 101; transactions not.
pub const SLICE_LEN_MAX: usize = 32 << 10;
/// Quorums of one certificate: two at a change of the producers.
pub const QUORUMS_MAX: usize = 2;
/// Events of one receipt.
pub const EVENTS_MAX: usize = 1_024;
/// Bytes of a record that an event tells; a longer one is told by its hash.
pub const ATTESTED_VALUE_LEN_MAX: usize = 16 << 10;
/// Bytes of one event's data.
pub const EVENT_DATA_LEN_MAX: usize = 32 << 10;
/// Accounts of one genesis.
pub const GENESIS_ACCOUNTS_MAX: usize = 1 << 20;
/// Bytes of a genesis' label.
pub const GENESIS_LABEL_LEN_MAX: usize = 64;
/// A genesis' canonical bytes.
pub const GENESIS_LEN_MAX: usize = 128 << 20;
/// Transactions in one gossip message between validators.
pub const GOSSIP_TRANSACTIONS_MAX: usize = 1_024;
/// Bytes of one gossip message between validators.
pub const GOSSIP_LEN_MAX: usize = 1 << 20;
/// Slices in one digest to a terminal.
pub const DIGEST_SLICES_MAX: usize = 64;

/// Bytes of the part of a state key that tells records of one kind under one account apart.
pub const STATE_SUB_KEY_LEN_MAX: usize = 256;
/// A transfer's memo in bytes.
pub const MEMO_LEN_MAX: usize = 256;
/// Permissions of one account.
pub const PERMISSIONS_MAX: usize = 64;
/// Keys of one permission, and as many accounts, and as many waits.
pub const PERMISSION_PARTS_MAX: usize = 64;
/// Permissions between one and the root of its account's tree, and references between accounts, that a check follows.
pub const AUTHORITY_DEPTH_MAX: usize = 6;
/// Accounts and permissions that the check of one authorisation looks at; a check that needs more fails.
pub const AUTHORITY_STEPS_MAX: usize = 128;
/// Roles that one account defines.
pub const ROLES_MAX: usize = 16;
/// Policies of one role.
pub const POLICIES_MAX: usize = 16;
/// Counterparties that one policy names.
pub const POLICY_COUNTERPARTIES_MAX: usize = 64;
/// Weekly windows of one policy.
pub const POLICY_WINDOWS_MAX: usize = 8;
/// Grants of one account's roles.
pub const GRANTS_MAX: usize = 64;
/// Bytes of the roles and grants of one account: whoever acts by one pays for reading them all.
pub const DELEGATION_LEN_MAX: usize = 64 << 10;
/// Parts of one account's vesting at genesis.
pub const VESTING_PARTS_MAX: usize = 16;
/// Execution units of one transaction.
pub const TRANSACTION_UNITS_MAX: u64 = 10_000_000;
/// Leaves of a list that is proven leaf by leaf: the transactions of a slice, or its receipts with those of proposals.
pub const MERKLE_LEAVES_MAX: usize = 2 * TRANSACTIONS_PER_SLICE_MAX;
/// Permissions whose approval one proposal asks for.
pub const PROPOSAL_ASKED_MAX: usize = 32;
/// How long a proposal may wait from the word that it shall be done: 90 days.
pub const PROPOSAL_DELAY_MS_MAX: u64 = 90 * 86_400_000;
/// How far ahead of block time a proposal's expiry may lie: 90 days.
pub const PROPOSAL_EXPIRY_AHEAD_MS_MAX: u64 = 90 * 86_400_000;
/// Proposals that are done before the transactions of one block; the others wait for the next one.
pub const DUE_PER_BLOCK_MAX: usize = 64;
/// Units past which no more proposals are done in one block: what a few of the largest take.
pub const DUE_UNITS_PER_BLOCK_MAX: u64 = 4 * TRANSACTION_UNITS_MAX;
/// Bytes of the data of one transaction's events.
pub const EVENT_BYTES_PER_TRANSACTION_MAX: usize = 64 << 10;
/// Slices in the tree that are not final: half a day of them.
pub const TREE_SLICES_MAX: usize = 1 << 20;
/// Bytes of keys, values and receipts of slices that are not final, and of final changes that are not committed, with what
/// an index is told of them.
pub const TREE_BYTES_MAX: usize = 1 << 30;
/// Records of the state that stay in memory although the store holds them, because they were used lately: some 20 MB of
/// them, as most are short.
pub const RESIDENT_RECORDS_MAX: usize = 1 << 16;
/// The longest value of such a record, in bytes.
pub const RESIDENT_VALUE_LEN_MAX: usize = 512;
/// Batches of final changes that the writer has not committed yet.
pub const FINAL_BATCHES_MAX: usize = 4;

/// Executors of one process.
pub const EXECUTORS_MAX: usize = 1_024;
/// Links of one process, counted over all its nodes.
pub const LINKS_MAX: usize = 65_536;
/// Items that one link may hold.
pub const LINK_DEPTH_MAX: usize = 65_536;
/// Workers that one executor may host.
pub const WORKERS_PER_EXECUTOR_MAX: usize = 4_096;
/// Connections of local programs to one node at once.
pub const LOCAL_SESSIONS_MAX: usize = 64;
/// Bytes that wait for one local program; one that lets more wait is closed.
pub const LOCAL_OUTBOX_LEN_MAX: usize = 1 << 20;
/// Bytes of the largest answer to a question about a node; a terminal's session carries it.
pub const ANSWER_LEN_MAX: usize = 48 << 10;
/// Bytes that one question sends, or asks for, to fill a path or measure it.
pub const PROBE_LEN_MAX: usize = 16 << 10;
/// Questions that one node answers in a second to peers without the diagnostics role, all together; the others are told
/// that it is busy.
pub const QUESTIONS_PER_SECOND_MAX: u32 = 2_000;
/// Questions that wait at one node's or card's desk for its lanes' answers; one more is told to come again.
pub const DESK_QUESTIONS_MAX: usize = 256;
/// Rows of the session table in one answer.
pub const SESSION_ROWS_MAX: usize = 256;
/// Notable events in one answer.
pub const EVENTS_TOLD_MAX: usize = 256;
/// Notable events that one lane keeps for whoever asks; the oldest go first.
pub const EVENTS_KEPT_MAX: usize = 4_096;
/// Counters in one answer.
pub const COUNTERS_TOLD_MAX: usize = 256;
/// Mode registers in one answer.
pub const REGISTERS_TOLD_MAX: usize = 64;
/// Bytes of a name or a reason in an answer.
pub const ANSWER_TEXT_LEN_MAX: usize = 64;
/// How long a peer that is too slow may take for the goodbye that says so, in milliseconds.
pub const SLOW_GOODBYE_MS_MAX: u64 = 2_000;
/// How long the peers of a process that ends may take for its goodbyes, in milliseconds: below
/// [`PARTING_MS_MAX`], so that the resets of the others still leave.
pub const LAST_GOODBYE_MS_MAX: u64 = 400;
/// Addresses, networks and identities that one lane bans at once.
pub const BANS_MAX: usize = 256;
/// Descriptors that one parked executor waits on; it looks at the rest as at ports that have none.
pub const PARK_DESCRIPTORS_MAX: usize = 256;
/// How long an executor may sleep while one of its ports has no descriptor to wait on, in microseconds.
pub const SILENT_PORT_PARK_US_MAX: u64 = 50;
/// Rounds that a service executor makes after the end, to finish what its links still hold.
pub const SETTLE_ROUNDS_MAX: u32 = 65_536;
/// How long the workers of an executor that has stopped may take to part with their peers, in milliseconds.
pub const PARTING_MS_MAX: u64 = 500;

/// Slices that are not final in one consensus engine: both sides of a partition for `UNFINAL_SLOTS_MAX` slots of 60
/// slices, and as many again.
pub const UNFINAL_SLICES_MAX: usize = 1 << 18;
/// Slices at one height that a consensus engine takes without being asked for more: two prove a fault.
pub const SIBLING_SLICES_MAX: usize = 2;
/// Ids of invalid slices that a consensus engine remembers.
pub const REFUSED_SLICES_MAX: usize = 1_024;
/// Confirms of one producer that wait for their slice in one consensus engine.
pub const PENDING_CONFIRMS_MAX: usize = 1_024;
/// Confirms of one producer among which a consensus engine looks for conflicts.
pub const CONFIRMS_REMEMBERED_MAX: usize = 1_024;
/// Confirms of its own that a consensus engine holds until the disk has their watermark.
pub const CONFIRMS_UNSYNCED_MAX: usize = 1_024;
/// How many slots back from the present a consensus engine counts confirms.
pub const TALLY_SLOTS_MAX: u64 = 8;
/// Confirms that one verifier remembers as checked: 101 producers, 20 slices a second, 16 seconds.
pub const VERIFIED_CONFIRMS_MAX: usize = 1 << 15;
/// Certificates that one verifier remembers as checked.
pub const VERIFIED_CERTIFICATES_MAX: usize = 64;
/// Segments of one log.
pub const LOG_SEGMENTS_MAX: u32 = 1 << 24;
/// Confirms of one producer that wait in one tally for their slice.
pub const TALLY_EARLY_MAX: usize = 1_024;
/// Producers that one tally tells apart, over all schedules of the slices that it watches: two whole sets, and more.
pub const TALLY_PRODUCERS_MAX: usize = 256;
/// Schedules that a node knows: those in force on some chain, and the next ones.
pub const SCHEDULES_MAX: usize = 8;
/// Schedules whose slices one tally watches at once: the order of the producers changes with each epoch.
pub const TALLY_SCHEDULES_MAX: usize = 256;

/// Proofs of faults that one core keeps until it reports them: three kinds of fault of each of two sets.
pub const REPORTS_MAX: usize = 606;
/// Verified transactions that one verifier recognises when they come again.
pub const VERIFIED_TRANSACTIONS_MAX: usize = 262_144;
/// Requests that one core has out with its verifier.
pub const VERIFY_REQUESTS_MAX: usize = 16_384;
/// Slices that one request for missing ones is answered with.
pub const SLICES_SERVED_MAX: usize = 256;
/// Missing slices to which one core fetches the way at once.
pub const FETCHES_MAX: usize = 8;
/// Missing parents of which one core notes who sent a slice that follows them.
pub const SLICE_OFFERS_MAX: usize = 64;
/// Slices of one piece of an answer to a request for final ones.
pub const CHAIN_PIECE_SLICES_MAX: usize = 1_024;
/// Bytes of slices that fill a piece; the slice that reaches it is its last.
pub const CHAIN_PIECE_FILL_LEN: usize = 256 << 10;
/// Bytes of one piece: what fills it, and a whole slice beyond.
pub const CHAIN_PIECE_LEN_MAX: usize = 8 + 4 + 1 + CHAIN_PIECE_FILL_LEN + SLICE_LEN_MAX + 4 + SLICE_BYTES_MAX;
/// Bytes of slices that end an answer; whoever asked asks on.
pub const CHAIN_ANSWER_FILL_LEN: usize = 1 << 20;
/// Bytes of slices that fill an answer without transactions; the slice that reaches it is its last. A terminal's session
/// takes no more.
pub const HEADERS_FILL_LEN: usize = 16 << 10;
/// Bytes of one answer without transactions.
pub const HEADERS_LEN_MAX: usize = 8 + 4 + 1 + HEADERS_FILL_LEN + SLICE_LEN_MAX;
/// Requests of one peer for final slices that wait for their answer at one node.
pub const SERVES_PER_PEER_MAX: usize = 4;
/// Requests for final slices that wait for their answer at one node.
pub const SERVES_MAX: usize = 256;
/// Requests for slices without transactions that one node answers in a second, all peers together.
pub const HEADERS_PER_SECOND_MAX: u32 = 500;
/// Final slices whose references a light terminal remembers.
pub const LIGHT_FINALS_MAX: usize = 4_096;
/// Slices of one run of a proof of finality: from the one that is proven to the one whose certificate proves it.
pub const PROOF_RUN_SLICES_MAX: usize = 4_096;
/// Runs of one proof of finality: at most two a change of the producers, and the last.
pub const PROOF_RUNS_MAX: usize = 1 << 15;
/// Bytes of one proof.
pub const PROOF_LEN_MAX: usize = 64 << 20;
/// Peers whose headers a node follows at once to its checkpoint.
pub const SPINE_PEERS_MAX: usize = 8;
/// Slices of the way to the checkpoint that are kept of each of them: where there would be more, every second goes.
pub const SPINE_MARKS_MAX: usize = 65_536;
/// Bytes of slices from one such slice to the next, which a node holds until they are known to lead there.
pub const SPINE_RANGE_BYTES_MAX: usize = 128 << 20;
/// Slots that a peer's final slice must be ahead of a node's before the node asks for final slices by range. Fewer are
/// left to gossip.
pub const SYNC_BEHIND_SLOTS: u64 = 4;
/// Ranges of slots that a node that catches up asks for and holds at once.
pub const SYNC_RANGES_MAX: usize = 16;
/// Slots of one such range.
pub const SYNC_SPAN_SLOTS_MAX: u64 = 1_024;
/// Requests for ranges that are out with one peer: less than it takes from one.
pub const SYNC_ASKED_PER_PEER_MAX: usize = 2;
/// Bytes of slices that wait for their turn in a node that catches up, with those that were asked for.
pub const SYNC_WAITING_BYTES_MAX: usize = 32 << 20;
/// Slices that a node that catches up has out to be judged.
pub const SYNC_HANDED_MAX: usize = 256;
/// Bytes of those slices; the one that reaches it is the last.
pub const SYNC_HANDED_BYTES_MAX: usize = 8 << 20;
/// Slices that a node that catches up takes beyond its final one: half of what its engine holds.
pub const SYNC_UNFINAL_MAX: usize = UNFINAL_SLICES_MAX / 2;
/// Pairs of answers that do not fit together which a node that catches up keeps until it knows which one is wrong.
pub const SYNC_DISPUTES_MAX: usize = 8;
/// Final slices that the log may be behind before a node that catches up takes no more.
pub const SYNC_UNSYNCED_MAX: usize = 1_024;
/// Marks of a log's index of final slices. When there are more, every other one goes.
pub const LOG_MARKS_MAX: usize = 1 << 16;
/// Slices that are not final of which one log, and one walk over it, notes where they stand.
pub const LOG_WAITING_MAX: usize = UNFINAL_SLICES_MAX;
/// Bytes of slices that are not final yet which one walk over a log holds; others are read again.
pub const LOG_WALK_BYTES_MAX: usize = 8 << 20;

/// Transactions of one card's terminals whose end is open.
pub const TERMINALS_OUTSTANDING_MAX: usize = 1 << 18;
/// Transactions that wait for room in one terminal's session.
pub const TERMINAL_QUEUE_MAX: usize = 4_096;
/// Ids told final that the driver of one card's terminals has not taken yet.
pub const TOLD_FINAL_MAX: usize = 1 << 18;
/// A record of an exported chain in bytes: a slice with its transactions, as a message carries it.
pub const ARCHIVE_RECORD_LEN_MAX: usize = MESSAGE_LEN_MAX;
/// Blocks that a log keeps at least when older ones are removed. A restart needs those above the store's point and the few
/// that prove its first one final; the ids of past transactions stand in the state. The others are for peers that were away
/// for a minute.
pub const KEEP_BLOCKS_MIN: u64 = 64;
/// Headers from the source that a slice carries to it, where a snapshot's walk may begin at it.
pub const SNAPSHOT_RUN_MAX: u32 = 1_024;
/// Bytes of keys and values at which a chunk of a snapshot's records is closed.
pub const SNAPSHOT_CHUNK_FILL_LEN: usize = 256 << 10;
/// A chunk of a snapshot's records in bytes, however small the records are: one is closed by the largest that there is.
pub const SNAPSHOT_CHUNK_LEN_MAX: usize = 9 * SNAPSHOT_CHUNK_FILL_LEN + STATE_KEY_LEN_MAX + STATE_VALUE_LEN_MAX + 16;
/// Certificates of the last slices that a node writes into its log when it ends: no slice carries them yet.
pub const CERTIFICATES_CLOSING_MAX: usize = 16;
/// Certificates that a snapshot takes over from the log: those of the last slices, which no header carries.
pub const SNAPSHOT_CERTIFICATES_MAX: usize = 64;
/// Levels of a tree in the store's file, as far as one is followed: those of LMDB's own cursor.
pub const STORE_DEPTH_MAX: usize = 32;
/// Bytes of a file of transactions that were told final, as far as one is read: 16 million ids.
pub const TOLD_FILE_LEN_MAX: u64 = 65 * (16 << 20);
/// Account keys that one card's terminals keep; further ones are derived again at each use.
pub const ACCOUNT_KEYS_MAX: usize = 1 << 16;
/// Digests whose arrivals one card's terminals watch at once: three seconds of them at 50 ms.
pub const DIGESTS_WATCHED_MAX: usize = 64;
/// Digests of a run whose times are kept for the report; later ones are not measured.
pub const DIGESTS_MEASURED_MAX: usize = 1 << 16;

/// Broadcasts of one group that a lane has under way at once; one more sheds the oldest that is sheddable.
pub const BROADCASTS_MAX: usize = 1_024;
/// Final slices whose content one node core keeps for peers that missed them.
pub const FINAL_SLICES_KEPT_MAX: usize = 1_024;
/// Slices whose content one node core holds at once, final ones included.
pub const SLICE_BODIES_MAX: usize = UNFINAL_SLICES_MAX + FINAL_SLICES_KEPT_MAX;

/// Neighbours on the link that one card remembers.
pub const NEIGHBORS_MAX: usize = 8_192;
/// Neighbours among those that have not answered; one more takes the place of the oldest.
pub const NEIGHBORS_UNRESOLVED_MAX: usize = 1_024;
/// Neighbours among those that the card heard of and never sent to; one more takes the place of the oldest.
pub const NEIGHBORS_LEARNED_MAX: usize = 1_024;
/// Packets that wait for one neighbour's hardware address.
pub const NEIGHBOR_WAITING_MAX: usize = 16;
/// Frames that one card's link layer holds back at once: those that wait for a neighbour, and those that found the send
/// burst full.
pub const NEIGHBOR_FRAMES_MAX: usize = 1_024;
/// What a card's link layer has to say to its lane and the lane has not taken yet.
pub const NEIGHBOR_NOTICES_MAX: usize = 256;
/// Frames and words for the card's other lanes that one lane holds until its driver takes them.
pub const LANE_STRAYS_MAX: usize = 1_024;
/// What the link layer of a card's first lane has to tell the others and its lane has not taken yet.
pub const NEIGHBOR_TOLD_MAX: usize = 256;
/// Addresses of one card's link layer.
pub const NEIGHBOR_ADDRESSES_MAX: usize = 8;
/// Extension headers of one IPv6 packet that the card's link layer looks past.
pub const IPV6_EXTENSIONS_MAX: usize = 4;
/// ICMP messages that one lane of a card sends in a second, all kinds together: the first lane answers for the card, each
/// lane tells those that call it and are banned.
pub const ICMP_REPLIES_PER_SECOND_MAX: u32 = 1_000;
/// Bytes of one script of the card's behaviour.
pub const SCRIPT_LEN_MAX: usize = 64 << 10;
/// Turns that a script's card may take without a moment passing before it counts as running wild.
pub const SCRIPT_TURNS_MAX: usize = 10_000;
/// Lines of what happened that a script's run keeps; the oldest go first.
pub const SCRIPT_TRACE_LINES_MAX: usize = 4_096;
/// Cores of one host that `hpb tune` may name: the most that Linux is built for.
pub const HOST_CORES_MAX: usize = 8_192;
/// Changes that one state file of `hpb tune` holds.
pub const TUNE_CHANGES_MAX: usize = 16_384;
/// Bytes of one state file of `hpb tune`.
pub const TUNE_STATE_LEN_MAX: u64 = 16 << 20;
/// Lines of what happened that one simulated run keeps for people; the oldest go first.
pub const SIM_TRACE_LINES_MAX: usize = 1 << 18;
/// Captures of chosen sessions that one lane has under way at once; one more is refused.
pub const CAPTURES_MAX: usize = 4;
/// Bytes that one of them keeps until they are asked for; newer ones take the place of the oldest.
pub const CAPTURE_KEPT_LEN_MAX: usize = 8 << 20;
/// Frames and pieces of messages that it keeps likewise.
pub const CAPTURE_KEPT_MAX: usize = 16_384;
/// Bytes of a frame or of a piece of a message in one row; a longer message stands in several.
pub const CAPTURE_PIECE_LEN_MAX: usize = 16 << 10;
/// Rows of a capture in one answer.
pub const CAPTURE_ROWS_MAX: usize = 256;
/// Sessions that one capture may name.
pub const CAPTURE_NAMES_MAX: usize = 64;
/// Seconds after which a capture ends by itself, at most.
pub const CAPTURE_SECONDS_MAX: u32 = 86_400;
/// Seconds without a question after which its asker is taken to be gone.
pub const CAPTURE_SILENCE_SECONDS_MAX: u64 = 10;
/// Bytes of one message that its asker writes down: Wireshark reads no larger packet. Of a longer one it is the beginning.
pub const CAPTURE_TOLD_LEN_MAX: usize = 255 << 10;
/// Chosen sessions that ended in one turn whose last frames are still told apart.
pub const CAPTURE_GONE_MAX: usize = 64;
/// Bytes of one block of a capture that is read: a super-frame and its options.
pub const CAPTURE_BLOCK_LEN_MAX: usize = 256 << 10;
/// Bytes of a card's capture, or of its tape, that its lane hands to the writing thread together.
pub const CAPTURE_CHUNK_LEN: usize = 256 << 10;
/// Those that wait for the disk: one more ends the capture, never the lane.
pub const CAPTURE_CHUNKS_MAX: usize = 256;
/// Interfaces that one section of a capture names.
pub const CAPTURE_INTERFACES_MAX: usize = 1_024;
/// TCP sessions of one capture that a replay looks at.
pub const REPLAY_SESSIONS_MAX: usize = 1 << 16;
/// Bytes that the sessions of one capture say together, at most, to be replayed.
pub const REPLAY_BYTES_MAX: usize = 256 << 20;
/// Agents of one measurement beyond one host.
pub const AGENTS_MAX: usize = 64;
/// Bytes of one message between a conductor and its agents, put together from its parts.
pub const AGENT_MESSAGE_LEN_MAX: usize = 64 << 20;
/// Messages between them of which some parts are missing, at one end; the oldest goes.
pub const AGENT_MESSAGES_OPEN_MAX: usize = AGENTS_MAX;
/// Orders, and answers, that wait between an agent and its repeat.
pub const AGENT_WORDS_MAX: usize = 16;
/// Arrivals of one repeat that one agent keeps.
pub const AGENT_ARRIVALS_MAX: usize = 1 << 22;
/// Exchanges by which two clocks are compared, of one repeat.
pub const CLOCK_EXCHANGES_MAX: usize = 1 << 16;
/// Bytes of one line of a NATS server; what it tells of itself names its whole cluster.
pub const NATS_LINE_LEN_MAX: usize = 64 << 10;
/// Bytes of one NATS message's payload.
pub const NATS_PAYLOAD_LEN_MAX: usize = 8 << 20;
/// Nodes of one walk over the network.
pub const CRAWL_NODES_MAX: usize = 1_024;
