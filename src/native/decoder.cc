// The decoder as functions of the library; src/tensor/native-decoder.ts calls them.
#include "decoder.h"

namespace {

thread_local std::string problem;

// Null, or what was wrong: valid until the next call.
template <class F>
const char* reporting(F f) {
  try {
    f();
    return nullptr;
  } catch (const std::exception& error) {
    problem = error.what();
    return problem.c_str();
  }
}

} // namespace

extern "C" {

const char* plumbline_decoder_make(const DecoderShape* shape, const int64_t* windows, bool windowsTurnOwn, void** made) {
  return reporting([&] { *made = new Decoder(*shape, windows, windowsTurnOwn); });
}

const char* plumbline_decoder_set(void* decoder, int64_t index, const float* values, int64_t size) {
  return reporting([&] { static_cast<Decoder*>(decoder)->set(index, values, size); });
}

const char* plumbline_decoder_make_room(void* decoder, int64_t rows, int64_t columns) {
  return reporting([&] { static_cast<Decoder*>(decoder)->makeRoom(rows, columns); });
}

const char* plumbline_decoder_read(void* decoder, int64_t lines, const int32_t* rows, const int32_t* columns, const int32_t* ids,
                                   const float* cos, const float* sin, const float* windowCos, const float* windowSin,
                                   const Sampling* sampling, int64_t count, const int32_t* asked, const double* uniforms,
                                   DrawnToken* drawn) {
  return reporting([&] {
    static_cast<Decoder*>(decoder)->read({lines, rows, columns, ids, cos, sin, windowCos, windowSin}, *sampling, count, asked, uniforms,
                                         drawn);
  });
}

void plumbline_decoder_free(void* decoder) { delete static_cast<Decoder*>(decoder); }

// The most rows side by side for which weights in bfloat16 are read faster than floats: widening them costs little beside wide
// vectors; else it pays only where the memory is slower than the products.
int64_t plumbline_narrow_rows() { return LANES == 16 ? 1 << 30 : 2; }

// values [rows, width]: columns [from, to) get + scale · a · b; a [rows, rank], b [rank, to - from] (arXiv:2106.09685, eq. 3).
void plumbline_add_low_rank(float* values, int64_t rows, int64_t width, const float* a, const float* b, int64_t rank, int64_t from,
                            int64_t to, float scale) {
  overRows(rows, (to - from) * rank, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; row++) {
      float* line = values + row * width + from;
      overRow(to - from, [&](int64_t at, int count) {
        Vector sum{};
        for (int64_t i = 0; i < rank; i++) sum += a[row * rank + i] * loadUpTo(b + i * (to - from) + at, count);
        storeUpTo(line + at, loadUpTo(line + at, count) + sum * scale, count);
      });
    }
  });
}

} // extern "C"
