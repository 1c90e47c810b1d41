/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SHA-256 of a file that is still being written: a thread reads behind the writer, so that the
 * loop neither hashes nor waits, and what an earlier try left is hashed while the rest comes.
 *
 * The callback never comes from within the call that asks for it, and not after digest_free().
 * Errors are TRANSFER_ERROR_LOCAL.  Only src/adapter/download includes this.
 */
#pragma once

#include <glib.h>

/* The thread begins when so many bytes are to be read. */
#define DIGEST_BEGIN_BYTES (1 << 20)

typedef struct _Digest Digest;

/* `error` NULL: all is well. */
typedef void (*DigestDone)(const GError *error, gpointer user_data);

/* Reads the file of `fd`, of which it takes a duplicate; `path` is for messages. */
Digest *digest_new(const char *path, int fd);
/* A thread that is at work ends by itself, with its next piece. */
void digest_free(Digest *digest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Digest, digest_free)

/* The file's first `length` bytes are there; they do not change any more. */
void digest_follow(Digest *digest, gint64 length);
/* They are all of it; once, and the last call but the two others. */
void digest_finish(Digest *digest, gint64 length, DigestDone done, gpointer user_data);
/* In hex, after a good end.  Borrowed. */
const char *digest_hex(const Digest *digest);
