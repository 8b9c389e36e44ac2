/**
 * Matrix products on several threads, and copies of blocks, for the wasm lane. scripts/compile-wasm.ts compiles this file to
 * kernels-binary.ts.
 *
 * Every thread has an instance of this module in one shared memory. There are no globals and nothing lies on a stack in
 * memory, so instances share nothing but a `Job` and the matrices. Every element of c is summed in the order of k,
 * whatever the split, so results do not depend on the number of threads.
 */
#include <wasm_simd128.h>

typedef v128_t vec; // four float32
#define EXPORT(name) __attribute__((export_name(#name)))
#define INLINE static inline __attribute__((always_inline))

// A tile of c is ROWS x COLUMNS: eight accumulators, two of b and four of a fill fifteen of the sixteen registers.
enum { ROWS = 4, COLUMNS = 8 };
// Blocks of a [M_BLOCK, K_BLOCK] and b [K_BLOCK, N_BLOCK] are packed for the caches: 64 and 256 KiB.
enum { M_BLOCK = 64, K_BLOCK = 256, N_BLOCK = 256 };
enum { SCRATCH_A = M_BLOCK * K_BLOCK, SCRATCH_B = K_BLOCK * N_BLOCK, SCRATCH_EDGE = ROWS * COLUMNS };

/** One product. The first four words are atomics; the rest is written while no unit of work can be taken. */
typedef struct {
  unsigned long long ticket; // number of the job << 32 | next unit of it
  int epoch;                 // changes with every job; threads wait for it
  int done;                  // units that are finished
  int failed;                // 1 where a thread ended (set by its JavaScript)
  const float *a, *b;
  float *c;
  int m, n, k, transpose_a, transpose_b;
  int units, parts, by_rows, size; // a unit: one of `parts` slices (of rows, or columns) of one matrix of the batch
} Job;

static const int CLOSED = 0x7fffffff;

INLINE int min(int a, int b) { return a < b ? a : b; }

/** acc [4][8] += a [depth][4] · b [depth][8]. Not unrolled here: V8 does it, and spills where both do. */
INLINE void tile(const float *a, const float *b, int depth, vec acc[8]) {
  vec c0 = acc[0], c1 = acc[1], c2 = acc[2], c3 = acc[3], c4 = acc[4], c5 = acc[5], c6 = acc[6], c7 = acc[7];
#pragma nounroll
  for (int p = 0; p < depth; p++) {
    vec b0 = wasm_v128_load(b), b1 = wasm_v128_load(b + 4);
    vec a0 = wasm_v128_load32_splat(a), a1 = wasm_v128_load32_splat(a + 1);
    vec a2 = wasm_v128_load32_splat(a + 2), a3 = wasm_v128_load32_splat(a + 3);
    c0 = wasm_f32x4_add(c0, wasm_f32x4_mul(a0, b0)), c1 = wasm_f32x4_add(c1, wasm_f32x4_mul(a0, b1));
    c2 = wasm_f32x4_add(c2, wasm_f32x4_mul(a1, b0)), c3 = wasm_f32x4_add(c3, wasm_f32x4_mul(a1, b1));
    c4 = wasm_f32x4_add(c4, wasm_f32x4_mul(a2, b0)), c5 = wasm_f32x4_add(c5, wasm_f32x4_mul(a2, b1));
    c6 = wasm_f32x4_add(c6, wasm_f32x4_mul(a3, b0)), c7 = wasm_f32x4_add(c7, wasm_f32x4_mul(a3, b1));
    a += ROWS;
    b += COLUMNS;
  }
  acc[0] = c0, acc[1] = c1, acc[2] = c2, acc[3] = c3, acc[4] = c4, acc[5] = c5, acc[6] = c6, acc[7] = c7;
}

/** Copies four rows of four floats, `ld` apart, as columns `width` apart. */
INLINE void transpose4(const float *from, int ld, float *to, int width) {
  vec r0 = wasm_v128_load(from), r1 = wasm_v128_load(from + ld);
  vec r2 = wasm_v128_load(from + 2 * ld), r3 = wasm_v128_load(from + 3 * ld);
  vec t0 = wasm_i32x4_shuffle(r0, r1, 0, 4, 1, 5), t1 = wasm_i32x4_shuffle(r2, r3, 0, 4, 1, 5);
  vec t2 = wasm_i32x4_shuffle(r0, r1, 2, 6, 3, 7), t3 = wasm_i32x4_shuffle(r2, r3, 2, 6, 3, 7);
  wasm_v128_store(to, wasm_i64x2_shuffle(t0, t1, 0, 2));
  wasm_v128_store(to + width, wasm_i64x2_shuffle(t0, t1, 1, 3));
  wasm_v128_store(to + 2 * width, wasm_i64x2_shuffle(t2, t3, 0, 2));
  wasm_v128_store(to + 3 * width, wasm_i64x2_shuffle(t2, t3, 1, 3));
}

/**
 * Packs `count` lines of length `depth` side by side: to [depth][width], zeros beyond count. Line i lies at from + i * ld,
 * or, `strided`, at from + i with its elements ld apart.
 */
INLINE void pack(const float *from, int ld, int strided, int count, int width, int depth, float *to) {
  if (strided && count == width) {
    for (int p = 0; p < depth; p++)
      for (int i = 0; i < width; i += 4) wasm_v128_store(to + p * width + i, wasm_v128_load(from + p * ld + i));
    return;
  }
  if (strided) {
    for (int p = 0; p < depth; p++)
      for (int i = 0; i < width; i++) to[p * width + i] = i < count ? from[p * ld + i] : 0;
    return;
  }
  for (int group = 0; group < width; group += 4) {
    int p = 0;
    if (group + 4 <= count)
      for (; p + 4 <= depth; p += 4) transpose4(from + group * ld + p, ld, to + p * width + group, width);
    for (; p < depth; p++)
      for (int i = group; i < group + 4; i++) to[p * width + i] = i < count ? from[i * ld + p] : 0;
  }
}

/** One tile of c, added to where k was begun before; `edge` holds it where it reaches beyond c. */
INLINE void tile_of_c(const float *a, const float *b, int depth, float *c, int ld, int rows, int columns, int begun, float *edge) {
  int whole = rows == ROWS && columns == COLUMNS;
  float *at = whole ? c : edge;
  int stride = whole ? ld : COLUMNS;
  if (begun && !whole)
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < columns; j++) edge[i * COLUMNS + j] = c[i * ld + j];
  vec acc[8];
  for (int i = 0; i < ROWS; i++) {
    acc[2 * i] = begun ? wasm_v128_load(at + i * stride) : wasm_f32x4_splat(0);
    acc[2 * i + 1] = begun ? wasm_v128_load(at + i * stride + 4) : wasm_f32x4_splat(0);
  }
  tile(a, b, depth, acc);
  for (int i = 0; i < ROWS; i++) {
    wasm_v128_store(at + i * stride, acc[2 * i]);
    wasm_v128_store(at + i * stride + 4, acc[2 * i + 1]);
  }
  if (!whole)
    for (int i = 0; i < rows; i++)
      for (int j = 0; j < columns; j++) c[i * ld + j] = edge[i * COLUMNS + j];
}

/** Rows [m0, m1) and columns [n0, n1) of one product. Blocks as in Goto and van de Geijn 2008. */
INLINE void slice(const float *a, const float *b, float *c, int m, int n, int k, int ta, int tb, int m0, int m1, int n0, int n1, float *scratch) {
  float *packed_a = scratch, *packed_b = scratch + SCRATCH_A, *edge = packed_b + SCRATCH_B;
  int lda = ta ? m : k, ldb = tb ? k : n;
  for (int j0 = n0; j0 < n1; j0 += N_BLOCK) {
    int wide = min(N_BLOCK, n1 - j0);
    for (int p0 = 0; p0 < k; p0 += K_BLOCK) {
      int depth = min(K_BLOCK, k - p0);
      for (int j = 0; j < wide; j += COLUMNS)
        pack(tb ? b + (j0 + j) * ldb + p0 : b + p0 * ldb + j0 + j, ldb, !tb, min(COLUMNS, wide - j), COLUMNS, depth, packed_b + j * depth);
      for (int i0 = m0; i0 < m1; i0 += M_BLOCK) {
        int high = min(M_BLOCK, m1 - i0);
        for (int i = 0; i < high; i += ROWS)
          pack(ta ? a + p0 * lda + i0 + i : a + (i0 + i) * lda + p0, lda, ta, min(ROWS, high - i), ROWS, depth, packed_a + i * depth);
        for (int j = 0; j < wide; j += COLUMNS)
          for (int i = 0; i < high; i += ROWS)
            tile_of_c(packed_a + i * depth, packed_b + j * depth, depth, c + (i0 + i) * n + j0 + j, n,
                      min(ROWS, high - i), min(COLUMNS, wide - j), p0 > 0, edge);
      }
    }
  }
}

/** Takes a unit and does it; 0 where none is left. */
static int do_unit(Job *job, float *scratch) {
  unsigned long long ticket = __atomic_load_n(&job->ticket, __ATOMIC_SEQ_CST);
  int unit = (int)ticket;
  // Read before the unit is taken: while one is left, nobody writes them.
  int m = job->m, n = job->n, k = job->k, ta = job->transpose_a, tb = job->transpose_b;
  int units = job->units, parts = job->parts, by_rows = job->by_rows, size = job->size;
  const float *a = job->a, *b = job->b;
  float *c = job->c;
  if (unit >= units) return 0;
  if (!__atomic_compare_exchange_n(&job->ticket, &ticket, ticket + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) return 1;
  int item = unit / parts, begin = (unit % parts) * size, end = min(begin + size, by_rows ? m : n);
  slice(a + item * m * k, b + item * k * n, c + item * m * n, m, n, k, ta, tb, by_rows ? begin : 0, by_rows ? end : m,
        by_rows ? 0 : begin, by_rows ? n : end, scratch);
  if (__atomic_add_fetch(&job->done, 1, __ATOMIC_SEQ_CST) == units) __builtin_wasm_memory_atomic_notify(&job->done, 1);
  return 1;
}

/** What a helping thread runs: it never returns. */
EXPORT(serve) void serve(Job *job, float *scratch) {
  for (;;) {
    int epoch = __atomic_load_n(&job->epoch, __ATOMIC_SEQ_CST);
    while (do_unit(job, scratch)) {}
    __builtin_wasm_memory_atomic_wait32(&job->epoch, epoch, -1);
  }
}

/** c [batch, m, n] = a [batch, m, k] · b [batch, k, n]; transposed, a is [batch, k, m] and b [batch, n, k]. 0: a thread has ended. */
EXPORT(multiply)
int multiply(Job *job, float *scratch, const float *a, const float *b, float *c, int batch, int m, int n, int k, int ta, int tb, int threads) {
  __atomic_store_n(&job->ticket, (job->ticket & 0xffffffff00000000ull) | CLOSED, __ATOMIC_SEQ_CST);
  job->a = a, job->b = b, job->c = c, job->m = m, job->n = n, job->k = k, job->transpose_a = ta, job->transpose_b = tb;
  // Some units for each thread, since one may be slow; a product too small to share is one slice a matrix.
  int shared = threads > 1 && (double)batch * m * n * k > 250000;
  int parts = shared ? (4 * threads + batch - 1) / batch : 1;
  job->by_rows = m >= n;
  int length = job->by_rows ? m : n;
  job->size = (length + parts - 1) / parts;
  // At least 64 lines, else packing the other side for each slice costs too much; whole tiles.
  job->size = ((job->size < 64 ? 64 : job->size) + COLUMNS - 1) / COLUMNS * COLUMNS;
  job->parts = (length + job->size - 1) / job->size;
  int units = job->units = batch * job->parts;
  __atomic_store_n(&job->done, 0, __ATOMIC_SEQ_CST);
  __atomic_store_n(&job->ticket, ((job->ticket >> 32) + 1) << 32, __ATOMIC_SEQ_CST);
  if (shared) {
    __atomic_add_fetch(&job->epoch, 1, __ATOMIC_SEQ_CST);
    __builtin_wasm_memory_atomic_notify(&job->epoch, threads - 1);
  }
  while (do_unit(job, scratch)) {}
  for (int spins = 0; ; spins++) {
    int done = __atomic_load_n(&job->done, __ATOMIC_SEQ_CST);
    if (done == units) return 1;
    if (__atomic_load_n(&job->failed, __ATOMIC_SEQ_CST)) return 0;
    // Waits for at most a second, so that a thread that ended is seen.
    if (spins > 1000) __builtin_wasm_memory_atomic_wait32(&job->done, done, 1000000000ll);
  }
}

/** Copies `blocks` blocks of `length` words, whose starts are from_stride and to_stride words apart. */
EXPORT(copy_blocks) void copy_blocks(const float *from, int from_stride, float *to, int to_stride, int blocks, int length) {
  for (int block = 0; block < blocks; block++, from += from_stride, to += to_stride) {
    int i = 0;
    for (; i + 4 <= length; i += 4) wasm_v128_store(to + i, wasm_v128_load(from + i));
    for (; i < length; i++) wasm_v128_store32_lane(to + i, wasm_v128_load32_zero(from + i), 0);
  }
}

/** Row ids[i] of a table [.., width] to row i. */
EXPORT(gather_rows) void gather_rows(const float *table, const int *ids, float *to, int rows, int width) {
  for (int row = 0; row < rows; row++) copy_blocks(table + ids[row] * width, 0, to + row * width, 0, 1, width);
}

EXPORT(job_bytes) int job_bytes(void) { return sizeof(Job); }
EXPORT(failed_at) int failed_at(void) { return __builtin_offsetof(Job, failed); }
EXPORT(scratch_bytes) int scratch_bytes(void) { return sizeof(float) * (SCRATCH_A + SCRATCH_B + SCRATCH_EDGE); }
