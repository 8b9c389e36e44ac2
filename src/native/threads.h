// Threads for the ops: the C API of kernels gives no access to TensorFlow's own.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <new>
#include <thread>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

// Work comes in numbered parts, which threads take one by one, the caller among them. Only parts that somebody has taken
// are waited for: a thread that the system lets sleep costs nothing. Which thread computes a part changes no result.
class ThreadPool {
 public:
  explicit ThreadPool(int threads) : size_(threads) {
    // They live as long as the process: they are never joined.
    for (int i = 1; i < threads; i++) std::thread([this] { work(); }).detach();
  }

  int size() const { return size_; }

  // Calls part(0) … part(count - 1). Where another op uses the pool just now, on this thread alone. Parts throw nothing but
  // std::bad_alloc, see `scratch`; it is thrown here when all have ended.
  void run(int count, const std::function<void(int)>& part) {
    if (count <= 1 || size_ <= 1 || !inUse_.try_lock()) {
      for (int i = 0; i < count; i++) part(i);
      return;
    }
    const uint32_t round = roundNow() + 1;
    Job& job = jobs_[round % JOBS];
    job.part.store(&part);
    job.count.store(static_cast<uint32_t>(count));
    done_.store(0);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      state_.store(static_cast<uint64_t>(round) << 32);
    }
    if (asleep_.load() > 0) wake_.notify_all();
    takeParts(round);
    while (done_.load(std::memory_order_acquire) < static_cast<uint32_t>(count)) pause();
    const bool isShort = isShort_.exchange(false);
    inUse_.unlock();
    if (isShort) throw std::bad_alloc();
  }

 private:
  struct Job {
    std::atomic<const std::function<void(int)>*> part{nullptr};
    std::atomic<uint32_t> count{0};
  };
  // A thread that comes late looks at the job of its own round, which is written over only JOBS rounds later.
  static constexpr uint32_t JOBS = 16;
  // Looks at the state so often before it sleeps: ops follow each other within microseconds.
  static constexpr int SPINS = 2000;

  uint32_t roundNow() const { return static_cast<uint32_t>(state_.load(std::memory_order_acquire) >> 32); }

  void takeParts(uint32_t round) {
    Job& job = jobs_[round % JOBS];
    for (;;) {
      uint64_t state = state_.load(std::memory_order_acquire);
      const auto* part = job.part.load();
      const uint32_t next = static_cast<uint32_t>(state);
      if (static_cast<uint32_t>(state >> 32) != round || next >= job.count.load()) return;
      if (!state_.compare_exchange_weak(state, state + 1)) continue;
      try {
        (*part)(static_cast<int>(next));
      } catch (const std::bad_alloc&) {
        isShort_.store(true);
      }
      done_.fetch_add(1, std::memory_order_release);
    }
  }

  void work() {
    for (uint32_t seen = 0;;) {
      for (int i = 0; i < SPINS && roundNow() == seen; i++) pause();
      if (roundNow() == seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_++;
        wake_.wait(lock, [&] { return roundNow() != seen; });
        asleep_--;
      }
      seen = roundNow();
      takeParts(seen);
    }
  }

  static void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const int size_;
  std::mutex inUse_, mutex_;
  std::condition_variable wake_;
  Job jobs_[JOBS];
  std::atomic<uint64_t> state_{0}; // round << 32 | next part
  std::atomic<uint32_t> done_{0};
  std::atomic<int> asleep_{0};
  std::atomic<bool> isShort_{false}; // of memory
};

// As many threads as TensorFlow has within an op.
inline ThreadPool& pool() {
  static ThreadPool* made = [] {
    const char* asked = getenv("TF_NUM_INTRAOP_THREADS");
    const int threads = asked ? atoi(asked) : 0;
    return new ThreadPool(threads > 0 ? threads : static_cast<int>(std::thread::hardware_concurrency()));
  }();
  return *made;
}

// Calls f(from, to) for parts of `rows` rows: enough of them that a thread which comes late leaves its share to others, each
// with enough values that taking it costs little.
template <class F> inline void overRows(int64_t rows, int64_t width, F f) {
  constexpr int64_t LEAST_VALUES = 8192;
  const int64_t least = (LEAST_VALUES + width - 1) / (width > 0 ? width : 1);
  int64_t parts = rows / (least > 0 ? least : 1);
  if (parts > 4 * pool().size()) parts = 4 * pool().size();
  if (parts < 1) parts = 1;
  pool().run(static_cast<int>(parts), [&](int part) { f(rows * part / parts, rows * (part + 1) / parts); });
}

// Slots of `scratch`. Those below NESTED are numbered by the kernel that uses them alone on its thread; the others are in use at once.
enum Slot { NESTED = 8, PACKED_A = NESTED, PACKED_B, PACKED_ADDED, PRODUCT_SLOPES, LOW_SLOPES, TURNED_KEYS, TURNED_QUERIES, SLOTS };

// Memory for a thread's intermediate values, kept from call to call; a slot for each use, aligned for vectors.
inline float* scratch(int slot, size_t floats) {
  struct Block {
    float* at = nullptr;
    size_t size = 0;
    ~Block() { free(at); }
  };
  static thread_local Block blocks[SLOTS];
  Block& block = blocks[slot];
  if (block.size < floats) {
    free(block.at);
    block = {};
    void* fresh = nullptr;
    if (posix_memalign(&fresh, 64, (floats + 64) * sizeof(float)) != 0) throw std::bad_alloc();
    block.at = static_cast<float*>(fresh);
    block.size = floats;
  }
  return block.at;
}
