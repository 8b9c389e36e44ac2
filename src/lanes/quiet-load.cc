// Keeps standard error closed while TensorFlow's libraries initialise. They log a note about oneDNN at that moment,
// before any setting can reach their logger, at every start of every program.
//
// Built twice. As a small library, listed last among the addon's libraries and so initialised before TensorFlow's, it
// closes the door; as a part of the addon, initialised after all of them, it opens it again. Errors of loading are not
// lost: the loader returns them to Node. TF_CPP_MIN_LOG_LEVEL=0 shows everything.
extern "C" void plumbline_restore_standard_error();

#ifdef PLUMBLINE_QUIET_LIBRARY

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

static int saved = -1;

__attribute__((constructor)) static void SilenceStandardError() {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level == nullptr || std::atoi(level) < 1) return;
  const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (saved >= 0) dup2(nowhere, STDERR_FILENO);
  close(nowhere);
}

extern "C" void plumbline_restore_standard_error() {
  if (saved < 0) return;
  dup2(saved, STDERR_FILENO);
  close(saved);
  saved = -1;
}

#else

__attribute__((constructor)) static void RestoreStandardError() { plumbline_restore_standard_error(); }

#endif
