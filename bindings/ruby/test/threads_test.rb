# frozen_string_literal: true

require_relative "helper"

# What a blocking call means to the rest of the program.
class ThreadsTest < StreamTest
  def parked
    stream = json_stream
    thread = Thread.new { stream.read_json(live: :long_poll).to_a }
    thread.report_on_exception = false
    wait_for_readers(1)
    thread
  end

  def test_other_threads_run_while_one_waits
    thread = parked
    assert_equal 500_500, (1..1000).sum
    @client.stream("/s").close(data: 1)
    assert_equal [1], thread.value
  end

  def test_kill_ends_a_wait_and_its_request
    thread = parked
    thread.kill
    assert thread.join(5), "the thread has ended"
    wait_for_readers(0)
  end

  def test_raise_and_timeout_end_a_wait
    thread = parked
    thread.raise(IOError, "mine")
    assert_equal "mine", assert_raises(IOError) { thread.join }.message
    assert_raises(Timeout::Error) { Timeout.timeout(0.2) { @client.stream("/s").read(live: :sse).to_a } }
    wait_for_readers(0)
  end

  def test_a_reader_is_closed_by_another_thread
    stream = json_stream
    reader = stream.read(live: :sse)
    thread = Thread.new { reader.to_a }
    thread.report_on_exception = false
    wait_for_readers(1)
    reader.close
    assert_raises(DurableStreams::ClosedError) { thread.value }
    wait_for_readers(0)
  end

  def test_a_signal_handler_runs_and_the_wait_goes_on
    handled = Queue.new
    previous = trap("USR1") { handled << true }
    stream = json_stream
    Thread.new do
      wait_for_readers(1)
      Process.kill("USR1", Process.pid)
      handled.pop
      stream.close(data: 1)
    end
    assert_equal [1], stream.read_json(live: :long_poll).to_a
  ensure
    trap("USR1", previous || "DEFAULT")
  end

  def test_ctrl_c_ends_a_program_that_waits
    json_stream
    program = 'require "durable_streams"; DurableStreams.read(ARGV[0], live: :long_poll).to_a'
    output, input = IO.pipe
    pid = Process.spawn("ruby", *LIBRARY, "-e", program, "#{@server.url}/s", err: input)
    input.close
    wait_for_readers(1)
    Process.kill("INT", pid)
    Timeout.timeout(10) { Process.wait(pid) }
    assert_match(/Interrupt/, output.read)
  end

  # A program with a single thread: Ruby starts another one to wake it, and may raise in the middle.
  def test_a_program_goes_on_after_ctrl_c
    json_stream
    program = <<~'PROGRAM'
      require "durable_streams"
      stream = DurableStreams.stream(ARGV[0])
      3.times do
        stream.read(live: :long_poll).to_a
      rescue Interrupt
        $stdin.gets
      end
      exit!(stream.append("1").next_offset ? 42 : 1)
    PROGRAM
    input, output = IO.pipe
    pid = Process.spawn("ruby", *LIBRARY, "-e", program, "#{@server.url}/s", in: input)
    3.times do
      wait_for_readers(1)
      Process.kill("INT", pid)
      wait_for_readers(0)
      output.puts
    end
    Timeout.timeout(10) { Process.wait(pid) }
    assert_equal 42, $?.exitstatus
  end

  def test_many_threads_share_a_client
    threads = Array.new(10) do |n|
      Thread.new { json_stream("/stream-#{n}").append({ "index" => n }) }
    end
    threads.each(&:join)
    10.times { |n| assert_equal [{ "index" => n }], @client.stream("/stream-#{n}").read_all }
  end

  def test_threads_that_share_a_handle_lose_nothing
    stream = json_stream
    Array.new(8) { |t| Thread.new { 25.times { |n| stream.append([t, n]) } } }.each(&:join)
    stored = stream.read_all
    8.times { |t| assert_equal (0...25).to_a, stored.select { |thread, _| thread == t }.map(&:last) }
  end

  def test_callables_are_called_by_the_thread_that_waits_for_every_request
    callers = []
    client = DurableStreams::Client.new(base_url: @server.url,
                                        headers: { "X-Id" => -> { callers << Thread.current; "id" } })
    stream = json_stream(client: client)
    @server.inject_fault("/s", status: 503, count: 1, method: "POST")
    callers.clear
    stream.append(1)
    assert_equal [Thread.current] * 2, callers
  end

  def test_callables_of_a_producer_are_called_in_the_background
    callers = Queue.new
    stream = json_stream(headers: { "X-Id" => -> { callers << Thread.current; "id" } })
    DurableStreams::Producer.open(stream: stream, producer_id: "p") { |producer| producer << 1 }
    assert_operator callers.size, :>=, 2
    assert_equal [1], stream.read_all
  end

  def test_what_a_callable_raises_comes_out_as_it_is
    error = Class.new(StandardError)
    stream = @client.stream("/s", headers: { "X-Id" => -> { raise error, "no token" } })
    assert_equal "no token", assert_raises(error) { stream.create(content_type: :json) }.message
    refute_predicate @client.stream("/s"), :exists?
  end

  def test_a_child_of_a_fork_works_with_the_client_and_not_with_a_producer
    stream = json_stream
    stream.append(1)
    producer = DurableStreams::Producer.new(stream: stream, producer_id: "p")
    pid = fork do
      stream.append(2)
      @client.stream("/s").append(3)
      begin
        producer.append(4)
      rescue DurableStreams::DurableStreamError => e
        exit!(e.message.include?("fork") ? 42 : 1)
      end
      exit!(1)
    end
    Timeout.timeout(20) { Process.wait(pid) }
    assert_equal 42, $?.exitstatus
    assert_equal [1, 2, 3], stream.read_all
    producer.append(5)
    producer.close
    assert_equal [1, 2, 3, 5], stream.read_all
  end

  # Puma with preload_app!: the master has a client, and has used it; the workers go on with it.
  def test_workers_forked_from_a_master_that_has_preloaded
    calls = 0
    client = DurableStreams::Client.new(base_url: @server.url, headers: { "X-Id" => -> { (calls += 1).to_s } })
    stream = json_stream(client: client)
    master = DurableStreams::Producer.new(stream: stream, producer_id: "master")
    master.append!({ "from" => "master" })
    workers = Array.new(3) do |worker|
      fork do
        5.times { |n| client.stream("/s").append({ "worker" => worker, "n" => n }) }
        DurableStreams::Producer.open(stream: stream, producer_id: "worker-#{worker}", auto_claim: true) do |producer|
          5.times { |n| producer << { "worker" => worker, "n" => 5 + n } }
        end
        own = stream.read_json.select { |item| item["worker"] == worker }
        exit!(own.map { |item| item["n"] } == (0...10).to_a ? 0 : 1)
      end
    end
    workers.each do |pid|
      Timeout.timeout(30) { Process.wait(pid) }
      assert_predicate $?, :success?
    end
    master.append!({ "from" => "master" })
    master.close
    assert_equal 32, stream.read_all.size
  end

  def test_a_fork_while_another_thread_waits
    thread = parked
    pid = fork { exit!(@client.stream("/s").append("1").next_offset ? 0 : 1) }
    Timeout.timeout(20) { Process.wait(pid) }
    assert_predicate $?, :success?
    @client.stream("/s").close
    assert_equal [1], thread.value
  end

  def test_timeout_and_kill_end_what_waits_for_an_answer
    stream = json_stream
    @server.inject_fault("/s", delay_ms: 3_000, method: "POST", count: 100)
    assert_raises(Timeout::Error) { Timeout.timeout(0.2) { stream.append(1) } }
    producer = DurableStreams::Producer.new(stream: stream, producer_id: "p")
    producer.append(1)
    assert_raises(Timeout::Error) { Timeout.timeout(0.2) { producer.flush } }
    assert_equal 1, producer.pending
    waiting = Thread.new { producer.flush }
    Thread.pass until waiting.stop?
    waiting.kill
    assert waiting.join(5), "the thread has ended"
    @server.clear_faults
  end

  def test_a_full_queue_is_waited_for_and_can_be_left
    stream = json_stream
    @server.inject_fault("/s", delay_ms: 3_000, method: "POST", count: 100)
    producer = DurableStreams::Producer.new(stream: stream, producer_id: "p", max_queued_messages: 5)
    assert_raises(Timeout::Error) { Timeout.timeout(0.5) { 1000.times { |n| producer << [n] } } }
    assert_operator producer.pending, :<, 1000
    @server.clear_faults
  end

  def test_a_program_that_ends_with_threads_that_wait_ends
    json_stream
    program = <<~'PROGRAM'
      require "durable_streams"
      stream = DurableStreams.stream(ARGV[0])
      DurableStreams::Producer.new(stream: stream, producer_id: "p", linger_ms: 60_000).append("1")
      Thread.new { stream.read(live: :sse).to_a }
      sleep 0.01 until $stdin.gets
    PROGRAM
    input, output = IO.pipe
    pid = Process.spawn("ruby", *LIBRARY, "-e", program, "#{@server.url}/s", in: input)
    wait_for_readers(1)
    output.puts
    Timeout.timeout(10) { Process.wait(pid) }
    assert_predicate $?, :success?
    wait_for_readers(0)
  end

  def test_abandoned_readers_leave_the_network
    stream = json_stream
    20.times { stream.read(live: :sse).each_batch { |batch| break if batch.up_to_date } }
    wait_for_readers(0)
  end
end
