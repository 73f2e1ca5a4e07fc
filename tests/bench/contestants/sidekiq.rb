# Sidekiq: no order of a user, in Redis. The same jobs as peer.mjs; `run` by two processes, as
# Ruby's threads share one core.
require "json"
require "tempfile"
require "sidekiq"
require "sidekiq/launcher"

PLAN = JSON.parse(ARGV.fetch(0))
COUNT, USERS, BURST = PLAN.values_at("count", "users", "burst")
PROCESSES = PLAN["rate"] ? 1 : 2
STALLED_S, LOOK_S, GRACE_S, HEAD_BYTES = 60, 0.005, 0.3, 8

Redis.silence_deprecations = true # a line on stderr for every call
Sidekiq.logger.level = Logger::ERROR
Sidekiq.configure_server { |config| config.redis = { url: "unix://#{PLAN["redis"]}", size: PLAN["concurrency"] + 5 } }
Sidekiq.configure_client { |config| config.redis = { url: "unix://#{PLAN["redis"]}", size: 5 } }

def now_us = Process.clock_gettime(Process::CLOCK_MONOTONIC, :microsecond)

def operation(i)
  user = i / BURST % USERS + 1
  number = i / (BURST * USERS) * BURST + i % BURST + 1
  thread = (number * 7 + user) % 10 + 1
  { "i" => i, "u" => user, "n" => number, "t" => thread,
    "content" => format("%010d %02d ", number, thread).ljust(200, "x") }
end

# What a child tells: how many jobs are done, then a byte an operation: how often it came.
class Sheet
  attr_reader :latencies

  def initialize(path)
    @file, @done, @times, @latencies, @lock = File.open(path, "r+b"), 0, "\0".b * COUNT, [], Mutex.new
  end

  def note(job, seen_us)
    @lock.synchronize do
      @times.setbyte(job["i"], @times.getbyte(job["i"]) + 1)
      @latencies << seen_us - job["sent_us"] if job["sent_us"]
    end
  end

  def done = @lock.synchronize { @done += 1 }
  def tell = @file.pwrite([@done].pack("q"), 0)
  def tell_all = @file.pwrite(@times, HEAD_BYTES)
end

class Job
  include Sidekiq::Worker
  sidekiq_options queue: "bench", retry: 3

  def perform(job)
    $sheet.note(job, now_us)
    $postgres&.message(job)
    $sheet.done
  end
end

# A connection a thread, prepared statements.
class Messages
  def message(job)
    connection = Thread.current[:postgres] ||= connect
    connection.transaction do
      thread = connection.exec_prepared("bump", [format("%08d-0000-4000-8000-%012d", job["u"], job["t"]),
                                                 "user-#{job["u"]}"])[0]
      connection.exec_prepared("insert", [thread["id"], thread["last_seq"], job["content"], thread["updated_at"]])
    end
  end

  private

  def connect
    given = PLAN["postgres"]
    connection = PG.connect(host: given["host"], dbname: given["database"], user: given["user"])
    connection.prepare("bump", "update chat.threads set last_seq = last_seq + 1, updated_at = clock_timestamp()" \
      " where id = $1 and user_id = $2 and status = 'active' returning id, last_seq, updated_at")
    connection.prepare("insert", "insert into chat.messages (id, thread_id, seq, role, content, metadata, created_at)" \
      " values (gen_random_uuid(), $1, $2, 'user', $3, '{}', $4)")
    connection
  end
end

def work(path, rest)
  Sidekiq.instance_variable_set(:@redis, nil)
  Sidekiq.redis = { url: "unix://#{PLAN["redis"]}", size: PLAN["concurrency"] + 5 }
  $sheet = Sheet.new(path)
  if PLAN["work"] == "message"
    require "pg"
    $postgres = Messages.new
  end
  options = Sidekiq.options.merge(queues: ["bench"], concurrency: PLAN["concurrency"], timeout: 2, strict: true)
  Signal.trap("TERM") { $ended = true }
  Sidekiq::Launcher.new(options).run
  until $ended
    $sheet.tell
    sleep LOOK_S
  end
  $sheet.tell_all
  rss = File.read("/proc/self/status")[/VmHWM:\s+(\d+)/, 1].to_i
  File.write(rest, JSON.generate({ rss_kib: rss, latencies_us: $sheet.latencies }))
  exit! 0
end

def run
  sheets = Array.new(PROCESSES) { Tempfile.new.tap { |file| file.truncate(HEAD_BYTES + COUNT) } }
  rests = Array.new(PROCESSES) { Tempfile.new }
  started_us = now_us
  children = sheets.zip(rests).map { |sheet, rest| fork { work(sheet.path, rest.path) } }
  sleep 0.5 if PLAN["rate"]
  puts JSON.generate({ ready: true })
  $stdout.flush
  done, moved_us = 0, now_us
  while done < COUNT
    sleep LOOK_S
    now = sheets.sum { |sheet| sheet.pread(HEAD_BYTES, 0).unpack1("q") }
    moved_us = now_us if now > done
    done = now
    raise "#{done} of #{COUNT} have come, and no more do" if now_us - moved_us > STALLED_S * 1_000_000
  end
  seconds = (now_us - started_us) / 1e6
  sleep GRACE_S
  children.each { |pid| Process.kill("TERM", pid) }
  children.each { |pid| Process.wait(pid) }
  told = rests.map { |rest| JSON.parse(rest.read) }
  times = sheets.map { |sheet| sheet.pread(COUNT, HEAD_BYTES).bytes }.transpose.map(&:sum)
  { seconds: seconds, runs: times.sum, once: times.count(&:positive?), repeated: times.count { |n| n > 1 },
    latencies_us: told.flat_map { |one| one["latencies_us"] }, rss_kib: told.sum { |one| one["rss_kib"] } }
end

def bulk
  (0...COUNT).each_slice(1000) do |slice|
    Sidekiq::Client.push_bulk("class" => Job, "args" => slice.map { |i| [operation(i)] })
  end
end

def one = COUNT.times { |i| Job.perform_async(operation(i)) }

def pace
  begin_us = now_us + 200_000
  COUNT.times do |i|
    rest_us = begin_us + i * 1_000_000 / PLAN["rate"] - now_us
    sleep rest_us / 1e6 if rest_us.positive?
    Job.perform_async(operation(i).merge("sent_us" => now_us))
  end
end

if PLAN["job"] == "run"
  told = run
else
  started_us = now_us
  send(PLAN["job"])
  told = { seconds: (now_us - started_us) / 1e6 }
end
puts JSON.generate(told)
