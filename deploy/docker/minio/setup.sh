#!/bin/sh
# Creates the buckets and three users: the pipelines' user and MLflow's user may use only their own buckets, and the
# reader of the lakehouse may only read one.
# Idempotent: runs at every start and sets a new password from .env. Needs a POSIX shell, mc, mkdir and printf; the
# image has few other tools. mc reads the address of the store from MC_HOST_store.
set -euf

policy() {  # the policy for the given buckets: list them, read, write and delete their objects
  buckets="" objects=""
  for bucket in "$@"; do
    buckets="$buckets${buckets:+, }\"arn:aws:s3:::$bucket\""
    objects="$objects${objects:+, }\"arn:aws:s3:::$bucket/*\""
  done
  printf '{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
   "Resource": [%s]},
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload",
   "s3:ListMultipartUploadParts"], "Resource": [%s]}]}\n' "$buckets" "$objects"
}

readonly_policy() {  # the policy for one bucket: list it and read its objects
  printf '{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": ["arn:aws:s3:::%s"]},
  {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::%s/*"]}]}\n' "$1" "$1"
}

user() {  # name, password, policy or readonly_policy, buckets: the policy has the user's name
  name="$1" password="$2" rights="$3"
  shift 3
  "$rights" "$@" > "$MC_CONFIG_DIR/$name.json"
  mc admin policy create store "$name" "$MC_CONFIG_DIR/$name.json"
  # Through standard input, because arguments are visible in the process list.
  printf '%s\n%s\n' "$name" "$password" | mc admin user add store
  # Fails if the policy is attached already, so the result is checked below.
  mc admin policy attach store "$name" --user "$name" || true
  info="$(mc admin user info store "$name" --json)"
  case "$info" in
    *"\"policyName\":\"$name\""* | *"\"policyName\": \"$name\""*) ;;
    *)
      echo "error: the policy of the user $name is not in force: $info" >&2
      exit 1
      ;;
  esac
}

mkdir -p "$MC_CONFIG_DIR"
IFS=', '  # S3_EXTRA_BUCKETS has commas
for bucket in $S3_BUCKETS "$MLFLOW_S3_BUCKET"; do
  case "$bucket" in *"*"*) ;; *) mc mb --ignore-existing "store/$bucket" ;; esac  # a pattern is no bucket
done
# shellcheck disable=SC2086 - bucket names have no spaces and are separate arguments
user "$S3_ACCESS_KEY_ID" "$S3_SECRET_ACCESS_KEY" policy $S3_BUCKETS
user "$MLFLOW_S3_ACCESS_KEY_ID" "$MLFLOW_S3_SECRET_ACCESS_KEY" policy "$MLFLOW_S3_BUCKET"
user "$S3_LAKE_READER_ACCESS_KEY_ID" "$S3_LAKE_READER_SECRET_ACCESS_KEY" readonly_policy lake
