/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers of the agent as text and as JSON. */
#include "agent/show.h"

#include <jansson.h>
#include <stdlib.h>

#include "agent/text.h"

#define INDENT 2

static gint64 to_integer(GVariant *value)
{
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_BYTE:
        return g_variant_get_byte(value);
    case G_VARIANT_CLASS_INT16:
        return g_variant_get_int16(value);
    case G_VARIANT_CLASS_UINT16:
        return g_variant_get_uint16(value);
    case G_VARIANT_CLASS_INT32:
        return g_variant_get_int32(value);
    case G_VARIANT_CLASS_UINT32:
        return g_variant_get_uint32(value);
    case G_VARIANT_CLASS_UINT64:
        return (gint64)MIN(g_variant_get_uint64(value), (guint64)G_MAXINT64);
    case G_VARIANT_CLASS_HANDLE:
        return g_variant_get_handle(value);
    default:
        return g_variant_get_int64(value);
    }
}

static gboolean is_dictionary(GVariant *value)
{
    return g_variant_is_of_type(value, G_VARIANT_TYPE("a{s*}"));
}

/* The value of a dictionary's entry or a variant's inside. */
static GVariant *unwrap(GVariant *value)
{
    while (g_variant_is_of_type(value, G_VARIANT_TYPE_VARIANT)) {
        GVariant *inner = g_variant_get_variant(value);
        g_variant_unref(value);
        value = inner;
    }
    return value;
}

static json_t *to_json(GVariant *value);

static json_t *container_to_json(GVariant *value)
{
    gboolean is_dict = is_dictionary(value);
    json_t *json = is_dict ? json_object() : json_array();
    gsize n = g_variant_n_children(value);
    for (gsize i = 0; i < n; i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(value, i);
        if (is_dict) {
            g_autoptr(GVariant) key = g_variant_get_child_value(child, 0);
            g_autoptr(GVariant) inner = g_variant_get_child_value(child, 1);
            json_object_set_new(json, g_variant_get_string(key, NULL), to_json(inner));
        } else {
            json_array_append_new(json, to_json(child));
        }
    }
    return json;
}

static json_t *to_json(GVariant *wrapped)
{
    g_autoptr(GVariant) value = unwrap(g_variant_ref(wrapped));
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_BOOLEAN:
        return json_boolean(g_variant_get_boolean(value));
    case G_VARIANT_CLASS_DOUBLE: {
        json_t *real = json_real(g_variant_get_double(value));
        return real ? real : json_null(); /* JSON has neither NaN nor infinity */
    }
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE:
        return json_string(g_variant_get_string(value, NULL));
    case G_VARIANT_CLASS_ARRAY:
    case G_VARIANT_CLASS_TUPLE:
    case G_VARIANT_CLASS_DICT_ENTRY:
    case G_VARIANT_CLASS_MAYBE:
        return container_to_json(value);
    default:
        return json_integer(to_integer(value));
    }
}

char *show_json(GVariant *value)
{
    json_t *json = to_json(value);
    char *dump = json_dumps(json, JSON_INDENT(INDENT) | JSON_ENCODE_ANY);
    json_decref(json);
    char *text = g_strconcat(dump ? dump : "null", "\n", NULL);
    free(dump); /* jansson's, not GLib's */
    return text;
}

/* A value that fits behind its key. */
static char *scalar_text(GVariant *value)
{
    switch (g_variant_classify(value)) {
    case G_VARIANT_CLASS_BOOLEAN:
        return g_strdup(g_variant_get_boolean(value) ? "yes" : "no");
    case G_VARIANT_CLASS_DOUBLE:
        return g_strdup_printf("%g", g_variant_get_double(value));
    case G_VARIANT_CLASS_STRING:
    case G_VARIANT_CLASS_OBJECT_PATH:
    case G_VARIANT_CLASS_SIGNATURE: {
        const char *text = g_variant_get_string(value, NULL);
        return *text ? text_visible(text) : g_strdup("-");
    }
    default:
        return g_strdup_printf("%" G_GINT64_FORMAT, to_integer(value));
    }
}

/* The n-th key and value of a dictionary; of another container its number, from 1, and the
 * element. */
static char *get_entry(GVariant *container, gsize i, GVariant **ret_value)
{
    g_autoptr(GVariant) child = g_variant_get_child_value(container, i);
    if (!is_dictionary(container)) {
        *ret_value = unwrap(g_steal_pointer(&child));
        return g_strdup_printf("%" G_GSIZE_FORMAT, i + 1);
    }
    g_autoptr(GVariant) key = g_variant_get_child_value(child, 0);
    *ret_value = unwrap(g_variant_get_child_value(child, 1));
    return text_visible(g_variant_get_string(key, NULL));
}

static glong key_width(GVariant *container)
{
    glong width = 0;
    for (gsize i = 0; i < g_variant_n_children(container); i++) {
        g_autoptr(GVariant) value = NULL;
        g_autofree char *key = get_entry(container, i, &value);
        width = MAX(width, g_utf8_strlen(key, -1));
    }
    return width;
}

static void append_entries(GString *text, GVariant *container, int indent)
{
    glong width = key_width(container);
    for (gsize i = 0; i < g_variant_n_children(container); i++) {
        g_autoptr(GVariant) value = NULL;
        g_autofree char *key = get_entry(container, i, &value);
        g_string_append_printf(text, "%*s%s:", indent, "", key);
        if (g_variant_is_container(value) && g_variant_n_children(value) > 0) {
            g_string_append_c(text, '\n');
            append_entries(text, value, indent + INDENT);
            continue;
        }
        g_autofree char *words = g_variant_is_container(value) ? g_strdup("-") : scalar_text(value);
        int gap = (int)(width - g_utf8_strlen(key, -1)) + 1;
        g_string_append_printf(text, "%*s%s\n", gap, "", words);
    }
}

char *show_status(GVariant *status)
{
    GString *text = g_string_new(NULL);
    append_entries(text, status, 0);
    return g_string_free(text, FALSE);
}

/* The text of an entry's key; NULL when it is missing or empty. */
static char *history_text(GVariant *entry, const char *key)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(entry, key, G_VARIANT_TYPE_STRING);
    const char *text = value ? g_variant_get_string(value, NULL) : "";
    return *text ? text_visible(text) : NULL;
}

static void append_history(GString *text, GVariant *entry)
{
    g_autofree char *time = history_text(entry, "time");
    g_autofree char *from = history_text(entry, "from");
    g_autofree char *to = history_text(entry, "to");
    g_autofree char *event = history_text(entry, "event");
    g_autofree char *detail = history_text(entry, "detail");
    gint64 job = 0;
    g_variant_lookup(entry, "job", "x", &job);
    g_string_append_printf(text, "%s job=%" G_GINT64_FORMAT " %s -> %s %s", time ? time : "-", job,
                           from ? from : "-", to ? to : "-", event ? event : "-");
    if (detail)
        g_string_append_printf(text, ": %s", detail);
    g_string_append_c(text, '\n');
}

char *show_history(GVariant *entries)
{
    GString *text = g_string_new(NULL);
    for (gsize i = 0; i < g_variant_n_children(entries); i++) {
        g_autoptr(GVariant) entry = g_variant_get_child_value(entries, i);
        append_history(text, entry);
    }
    return g_string_free(text, FALSE);
}
